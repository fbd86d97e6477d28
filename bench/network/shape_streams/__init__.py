"""Shape streams: a branch for boundaries beside the backbone."""
