"""The tuning of a study: the ranges of recipe fields, the arms that are tuned alike, and the study at tuned settings."""
