"""The comparison of two results folders: their sides, what changed, what is missing, and verdicts."""
