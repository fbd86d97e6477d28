"""Necks, which turn the backbone's pyramid into another pyramid for the head."""
