"""Decode heads: a pyramid in, class scores out."""
