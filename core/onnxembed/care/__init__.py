"""What keeps an installation well: models brought ahead, the cache looked after, and the machine examined."""
