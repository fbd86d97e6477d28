"""Shape streams, which are branches for boundaries beside the backbone."""
