"""Cameras and their noise: drawn, and measured."""
