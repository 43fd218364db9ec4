"""Planes to planes: the networks, and what brings images into their units and back."""
