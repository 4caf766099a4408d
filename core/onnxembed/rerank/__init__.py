"""A query and documents in, scores out."""
