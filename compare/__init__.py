"""Ours and other denoisers on the same images, in the same harness: `python -m compare`."""
