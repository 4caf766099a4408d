"""Files of vectors: written row by row, gone on with after an interruption, and searched."""
