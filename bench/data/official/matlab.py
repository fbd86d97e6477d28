"""Label maps in MATLAB's files, in which some data sets are distributed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.data.base import DataError


def read_matlab_label(path: Path, variable: str, indices: Mapping[int, int], meaning: str) -> Tensor:
    """The label map in a MATLAB file, as ``H W`` uint8 class indices, with void as ``IGNORE``.

    Args:
        path: the file.
        variable: the name of the matrix in it.
        indices: the class index, or ``IGNORE``, of each allowed value.
        meaning: the allowed values in words, for messages.

    Raises:
        DataError: if the file cannot be read, has no such matrix of whole numbers, or holds another value.
    """
    values = _matrix(path, variable)
    allowed = np.array(sorted(indices))
    strange = np.setdiff1d(values, allowed)
    if len(strange):
        shown = ", ".join(map(str, strange[:5])) + (", …" if len(strange) > 5 else "")
        raise DataError(f"{path} holds the value {shown}; allowed are {meaning}; get the file as it was published")
    table = np.array([indices[int(value)] for value in allowed], dtype=np.uint8)
    return torch.from_numpy(table[np.searchsorted(allowed, values)])


def _matrix(path: Path, variable: str) -> np.ndarray:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=[variable])
    # scipy's decoder reports a damaged file by any of these exceptions.
    except (
        MatReadError, OSError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, MemoryError,
        NotImplementedError, AttributeError, struct.error, zlib.error,
    ) as error:  # fmt: skip
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} cannot be read as a MATLAB file ({reason}); get the file again") from error
    values = content.get(variable)
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "ui" or not values.size:
        raise DataError(f"{path} has no matrix {variable} of whole numbers; get the file as it was published")
    return values.astype(np.int64)
