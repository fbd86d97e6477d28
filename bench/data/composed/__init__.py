"""Data sets that are made of others: trained on one and evaluated on another, or evaluated on corrupted images."""
