"""Prints the key of a study's trial of quality of the cell head=mine: python key.py STUDY"""

import sys

from bench.run.stages import identify
from bench.study.source import Source, load

print(identify(load(Source(sys.argv[1])).study.cell("head=mine"), "quality", 0, "data"))
