"""The bioimage.io package of the shipped network."""
