"""The question of a study: factors, cells, seeds, and what is known of it before any run."""
