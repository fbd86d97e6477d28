"""Pretrained weights of a backbone from a file or a URL. The checksum is verified, and every key is accounted for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bench.network.checkpoints.files import COUNTER, StateFileError, misfit, read_state, without_module_prefix
from bench.network.checkpoints.table import translate
from bench.network.checkpoints.verified import verified_file

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
