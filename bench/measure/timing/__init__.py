"""Timing of a network: repeated calls, pairs of networks in turns, and the watch for other work on the machine."""
