"""A picture in one command: a simulated field with ground truth, or the user's own images."""
