"""How good a model is: figures, tables and pictures of whole images."""
