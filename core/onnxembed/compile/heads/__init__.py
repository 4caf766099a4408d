"""What a compiled graph gives at its end."""
