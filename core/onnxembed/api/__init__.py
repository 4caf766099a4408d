"""One model in one process: what loads it, shares it and starts its work, whatever it takes and gives."""
