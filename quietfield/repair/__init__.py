"""What a camera or a program added to planes: found, taken out before the network sees it, and put back behind it."""
