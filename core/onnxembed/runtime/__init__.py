"""How a model runs: processors, providers, sessions, batches and streams. Nothing here knows what a text or an image is."""
