"""Losses as Parts of a variant, and the targets that they need."""
