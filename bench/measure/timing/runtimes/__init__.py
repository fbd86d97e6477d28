"""Compilers and runtimes besides eager torch, one file each, of one shape: ``prepare(…) -> image -> logits``."""
