"""Decode heads, which turn a pyramid of feature maps into class scores."""
