"""A study that builds on the quickstart, and has its file name."""

from studies.quickstart import STUDY as BASE

STUDY = BASE.having(name="mine", seeds=(0,))
