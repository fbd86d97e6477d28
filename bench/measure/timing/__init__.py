"""Timing of a network: repeated calls, pairs in turns, and whether the machine was left alone meanwhile."""
