"""Decoded samples in a folder of this machine, which all trials share: each file of a data set is decoded once."""
