"""An original network's forward pass compared with ours: converted weights, outputs, and outputs of inner modules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.network.checkpoints.convert import convert, layout_for
from bench.network.checkpoints.table import Layout
from bench.network.model import SegModel
from bench.network.shape_streams.canny import wrapped_bytes
from parity.compare import Check, Verdict, check_count, check_equal, check_outputs, judge
from parity.golden import Case
from parity.networks import network_of


@dataclass(frozen=True)
class Tap:
    """The place in our network of the value that a named module of the original returns.

    Attributes:
        path: the name of our module.
        before: ``True`` for the module's input, ``False`` for its output.
        then: a function that does the additional work of the original's module.
    """

    path: str
    before: bool = False
    then: Callable[[Tensor], Tensor] = torch.Tensor.detach


TAPS = {
    "jpu": Tap("neck"),
    "head.sa": Tap("head.branches.pam.attention"),
    "head.sc": Tap("head.branches.cam.attention"),
    "head.encmodule.encoding": Tap("head.encoding"),
    "head.encmodule.fc": Tap("head.gate", then=torch.sigmoid),
    "aspp": Tap("head.project", before=True),
    "final_seg": Tap("head.classifier"),
    **{f"mod{number}": Tap(f"backbone.mod{number}") for number in range(1, 8)},
    **{f"gate{index + 1}": Tap(f"shape_stream.steps.{index}") for index in range(3)},
    **{f"gate{index + 1}._gate_conv": Tap(f"shape_stream.steps.{index}.gate") for index in range(3)},
}
"""The places of modules of the originals that do not correspond to one module of ours by name."""


def run_network(case: Case) -> Verdict:
    """The verdict on a network: its weights are converted, its image is fed forward, and all outputs are compared."""
    network = network_of(case.kind, case.options)
    weights = case.weights()
    converted = convert(weights, network.variant, network.num_classes, network.layout)
    dropped = sum(weights[key].numel() for key in converted.dropped)
    layout = layout_for(weights, network.layout)
    del weights
    model = SegModel(network.variant, network.num_classes).eval()
    model.load_state_dict(converted.state)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    wanted = [key.removeprefix("tap__") for key in case.facts["outputs"] if key.startswith("tap__")]
    (image,) = case.inputs()
    with torch.inference_mode(), tapped(model, wanted, layout) as taps:
        outputs = network.outputs(model(image, with_aux=True))
    checks = check_outputs(case, {**outputs, **{f"tap__{name}": tensor for name, tensor in taps.items()}})
    if "canny" in case.arrays:
        checks += _check_edges(case, model, image)
    checks.append(check_count("parameters", parameters + dropped, case.facts["n_params"]))
    checks.append(_check_dropped(case, converted.dropped))
    notes = [f"dropped by the converter: {', '.join(converted.dropped)}"] if converted.dropped else []
    return judge(case, checks, notes)


def _check_edges(case: Case, model: SegModel, image: Tensor) -> list[Check]:
    """The checks of the image gradient inside the network, and of the bytes from which it was computed."""
    assert model.shape_stream is not None
    edges = model.shape_stream.get_submodule("image_gradient")(image)[0, 0]
    given = wrapped_bytes(image)[0].permute(1, 2, 0)
    return [
        check_equal("canny", edges, case.array("canny")),
        check_equal("canny_in_u8", given, case.array("canny_in_u8")),
    ]


def _check_dropped(case: Case, dropped: Collection[str]) -> Check:
    stated = set(case.facts.get("unused_in_forward", []))
    if set(dropped) == stated:
        return Check("dropped keys", 0.0, 0.0, 0.0)
    return Check("dropped keys", problem=f"{sorted(dropped)}, stated as never used are {sorted(stated)}")


@contextmanager
def tapped(model: SegModel, wanted: Collection[str], layout: Layout) -> Iterator[dict[str, Tensor]]:
    """Inside the block, collect the outputs of modules that are known by the original's names."""
    taps: dict[str, Tensor] = {}
    hooks = [_tap(model, name, layout, taps) for name in wanted]
    try:
        yield taps
    finally:
        for hook in hooks:
            if hook is not None:
                hook.remove()


def _tap(model: SegModel, name: str, layout: Layout, taps: dict[str, Tensor]) -> Any:
    tap = TAPS.get(name) or Tap(layout.our_name(name) or "")
    if not tap.path:
        return None

    def keep(_: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        value = given[0] if tap.before else output
        # A neck returns a list, in which the last map is the one that it computed.
        taps[name] = tap.then(value if isinstance(value, Tensor) else value[-1]).clone()

    return model.get_submodule(tap.path).register_forward_hook(keep)
