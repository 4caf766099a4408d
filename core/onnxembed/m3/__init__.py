"""Models like BGE-M3, which give three results of a text in one pass."""
