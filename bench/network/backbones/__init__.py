"""Backbones, which turn an image into a pyramid of feature maps."""
