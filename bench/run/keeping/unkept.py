"""The things that a training may change and that no file of its state holds, so that it could not go on undisturbed.

They are the attributes of modules that are neither plain values nor tensors, such as an array, a queue or a random
generator, and the variables of the study's own modules.
"""

from __future__ import annotations

from bench.run.processes.own_state import own_state, state_of
from bench.training.keeper import State, unkept_attributes


def unkept(state: State) -> dict[str, str]:
    """Name -> digest of each such attribute, and of each of the study's own modules."""
    digests = own_state()
    for name, module in state.modules.items():
        kept = [*module.modules(), *module.parameters(), *module.buffers()]
        for path, value in unkept_attributes(module).items():
            digests[f"{name}.{path}".replace("..", ".")] = state_of({"value": value}, kept)
    return digests
