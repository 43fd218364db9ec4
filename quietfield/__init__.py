"""Denoising of fluorescence microscopy images: the library that container, training and demo share."""

__version__ = "0.1.0"
