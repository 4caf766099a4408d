"""Texts and images in, one vector per token out, and what is done with such vectors."""
