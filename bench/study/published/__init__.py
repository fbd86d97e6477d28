"""Published numbers that a study can be held against, as CSV with their sources."""
