"""The loss terms of a variant, and the targets that they need."""
