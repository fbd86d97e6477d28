"""Searches with Optuna: the settings of each arm, and the variants of a study that is too large to run in full."""
