"""The quality of predictions on a split, as raw counts from which every score is derived."""
