"""Bodies of models, one file for each family of architectures."""
