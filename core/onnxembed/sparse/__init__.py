"""Texts in, sparse vectors out."""
