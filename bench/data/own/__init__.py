"""Folders of one's own images and label files, and the description that may lie beside them."""
