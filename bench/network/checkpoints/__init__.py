"""Weights of other projects: reading their files and giving their tensors our names."""
