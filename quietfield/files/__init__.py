"""Bytes to planes, and planes to bytes."""
