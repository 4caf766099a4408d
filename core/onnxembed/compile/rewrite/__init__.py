"""Changes of graphs that others exported."""
