"""Measurements of a network: quality on a split, cost from counts and memory, and timing."""
