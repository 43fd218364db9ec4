"""Cameras and their noise: synthetic noise, and noise that is measured."""
