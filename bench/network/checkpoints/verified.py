"""Files of weights that are identified by their content: a path or an address comes with a checksum."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.parse
from pathlib import Path

import torch

from bench.network.checkpoints.files import StateFileError
from bench.parts import ChoiceError


def check_weights_choice(owner: str, weights: str | None, sha256: str | None) -> None:
    """Reject weights without a checksum, and a checksum without weights.

    Raises:
        ChoiceError: if one of the two is given without the other, or if the checksum has the wrong form.
    """
    if (weights is None) != (sha256 is None):
        got, lacking = ("weights_sha256", "weights") if weights is None else ("weights", "weights_sha256")
        raise ChoiceError(
            f"{owner}({got}=…) without {lacking}: weights are identified by their content, so give both (sha256sum "
            "prints the checksum of a file), or neither"
        )
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ChoiceError(
            f"{owner}(weights_sha256={sha256!r}): expected the 64 lower-case hexadecimal digits of SHA-256"
        )


def verified_file(source: str, sha256: str) -> Path:
    """The path of the file, which is fetched if necessary and whose checksum is verified."""
    url = urllib.parse.urlparse(source)
    path = Path(source)
    if url.scheme in ("http", "https", "file"):
        path = Path(torch.hub.get_dir()) / "checkpoints" / f"{sha256[:16]}-{Path(url.path).name}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(source, str(path), hash_prefix=sha256, progress=False)
            except (urllib.error.URLError, OSError, RuntimeError) as error:
                raise StateFileError(f"cannot fetch {source}: {error}; check the address and weights_sha256") from error
    if not path.is_file():
        raise StateFileError(
            f"no weights at {source} (a relative path starts from the working folder); give a file or a URL"
        )
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256:
        raise StateFileError(
            f"{source} has the SHA-256 {got}, expected {sha256}; it is another file: fetch it again, or choose its "
            "weights_sha256 if it is the one that you mean"
        )
    return path
