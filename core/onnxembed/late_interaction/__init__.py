"""Texts and images in, one vector a token out, and what is done with such vectors."""
