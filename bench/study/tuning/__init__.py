"""The tuning of a study: the ranges of its recipe's fields, the arms that are tuned alike, and their best settings."""
