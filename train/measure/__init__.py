"""How good a model is: metrics, tables and pictures of whole images."""
