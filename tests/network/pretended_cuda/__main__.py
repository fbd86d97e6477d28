"""Prints the faults of all variants on a pretended GPU as JSON: ``python -m tests.network.pretended_cuda [LIBRARY]``.

Without the library of :mod:`tests.network.pretended_cuda.device`, a real GPU is used, on which nothing is computed
either.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.network.pretended_cuda.device import load

if __name__ == "__main__":
    for argument in sys.argv[1:]:
        load(Path(argument))
    from tests.network.pretended_cuda import planted, steps  # imports torch

    steps.allow_half_precision()
    result = {"studies": steps.faults_of_the_studies(), "planted": steps.faults_of(planted.VARIANTS)}
    json.dump(result, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # an ordinary exit may abort, as autograd's thread of the pretended GPU still runs then
