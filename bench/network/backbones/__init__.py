"""Backbones: an image in, a pyramid of feature maps out."""
