"""Pretrained weights of a backbone from a file or a URL. The checksum is verified, and every key is accounted for."""

from __future__ import annotations

import hashlib
import logging
import re
import urllib.error
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.network.checkpoints.files import COUNTER, StateFileError, misfit, read_state, without_module_prefix
from bench.network.checkpoints.table import translate
from bench.parts import ChoiceError

log = logging.getLogger("bench.network.backbones.pretrained")


@dataclass(frozen=True)
class LoadedWeights:
    """The result of loading a file of weights.

    Attributes:
        source: the path or URL of the file.
        dropped: the keys of the file that belong to the classifier, which a backbone does not have.
        filled: the tensors of the network that the file may lack and does lack: batch counters.
    """

    source: str
    dropped: tuple[str, ...]
    filled: tuple[str, ...]


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


def load_weights(
    network: nn.Module,
    source: str,
    sha256: str,
    *,
    drop: Sequence[str] = ("fc",),
    names: Mapping[str, str] | None = None,
) -> LoadedWeights | None:
    """Copy a state dict from a file into ``network``, completely or not at all.

    A network on the meta device has no values to fill, so in this case nothing is read and ``None`` is returned.

    Args:
        network: the network that gets the weights.
        source: a path, relative to the working folder, or a URL. A fetched file stays in torch.hub's folder.
        sha256: the checksum of the file.
        drop: the modules of the file that the network is known not to have.
        names: name of a module in the file -> its name in the network, if they differ.

    Raises:
        StateFileError: if the file cannot be fetched or read, if its checksum differs, or if keys are missing,
            unexpected or of another shape, which the message counts and of each of which it names some.
    """
    if any(tensor.is_meta for tensor in network.state_dict().values()):
        return None
    given = without_module_prefix(read_state(verified_file(source, sha256), source))
    strangers = [key for key, value in given.items() if not isinstance(value, Tensor)]
    if strangers:
        raise StateFileError(f"{source} holds no state dict: {', '.join(strangers[:5])} are no tensors")
    dropped = tuple(key for key in given if key.startswith(tuple(f"{module}." for module in drop)))
    state = {translate(key, names or {}) or key: value for key, value in given.items() if key not in dropped}
    initial = network.state_dict()
    filled = tuple(name for name in initial if name not in state and name.endswith(COUNTER))
    problems = {
        "missing": [name for name in initial if name not in state and name not in filled],
        "unexpected": [name for name in state if name not in initial],
        "of another shape": [
            f"{name} (got {tuple(state[name].shape)}, expected {tuple(tensor.shape)})"
            for name, tensor in initial.items()
            if name in state and state[name].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        raise StateFileError(
            f"{source} does not fit {type(network).__name__}{misfit(problems)}; choose the depth, stem and width that "
            "the weights are of"
        )
    network.load_state_dict({name: state.get(name, tensor) for name, tensor in initial.items()})
    log.info("%s: %d tensors loaded; dropped %s; filled %s", source, len(state), dropped or "none", filled or "none")
    return LoadedWeights(source, dropped, filled)


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
