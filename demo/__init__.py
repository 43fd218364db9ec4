"""A picture in one command: a simulated field with truth, or the user's own images."""
