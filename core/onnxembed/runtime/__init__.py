"""How a model runs: processors, providers, sessions, batches, streams. Nothing here knows what a text is."""
