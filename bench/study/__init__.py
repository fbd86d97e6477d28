"""Studies: the question, its factors, cells and seeds, and everything that is known before any run."""
