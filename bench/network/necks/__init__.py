"""Necks: a pyramid in, a pyramid out, between backbone and head."""
