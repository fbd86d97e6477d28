"""The content of a split as one digest, which tells whether two data sets are evaluated on the same images."""

from __future__ import annotations

import hashlib

from bench.data.base import Split


def content_digest(split: Split) -> str:
    """A digest of the names, images and labels of a split, in order. All of its samples are read.

    Scores on two splits of one digest are of the same images and labels, whatever else their data sets hold.
    """
    digest = hashlib.sha256()
    for index in range(len(split)):
        image, label, name = split[index]
        digest.update(f"{name!r} {tuple(image.shape)} {tuple(label.shape)}\n".encode())
        digest.update(image.numpy().tobytes() + label.numpy().tobytes())
    return digest.hexdigest()
