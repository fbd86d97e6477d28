"""Data sets in the layout in which they are officially distributed, one module a data set."""
