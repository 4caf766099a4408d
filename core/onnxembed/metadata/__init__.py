"""What a model's own JSON files say, read key by key; a key that nobody read refuses the model by name."""
