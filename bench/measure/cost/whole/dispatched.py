"""The operators that one forward dispatches, in order: their MACs, the module that runs them, what they read and write.

The forms of :mod:`torch.utils.flop_counter` are those of its ``FlopCounterMode``, which a network that is run without
gradients may end with an assertion (its module tracker registers hooks of the backward). This recorder registers none,
and it keeps which tensors an operator reads and writes: that tells what reaches the output.

A network whose forward reads a value is recorded with values. Those of products and convolutions are left 0 instead of
computed, since they take nearly all the time and the count does not depend on them, unless the network says otherwise.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.attention import flex_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from bench.measure.cost.operators import UncountedError
from bench.measure.cost.shapes import Operators, distinct_bytes
from bench.measure.cost.whole.formulas import DEFORMABLE_ATTENTION, kernels, module_macs
from bench.network.model import SegModel

ATTENTION = ("attention", "attn")
"""The words in the names of attention kernels. One without a closed form is refused by its name, not counted as 0."""

FLEX_SWITCH = "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"
"""The only switch that torch has for FlexAttention; where it is not there, FlexAttention refuses to be counted."""

UNSEEN_READS = ("tolist", "numpy")
"""The methods of a tensor that give its values to Python without an operator, as ``.item()`` has one."""


@dataclass(frozen=True)
class Operator:
    """One operator of a forward.

    Attributes:
        name: its name without the library, such as ``addmm``, or that of a closed form.
        module: the innermost module that ran it; ``""`` for the network itself.
        macs: its multiply-accumulates; 0 for all but products and convolutions.
        reads: the numbers of the storages that it reads.
        writes: the numbers of the storages that it writes; empty if it gives a value to Python.
        shapes: True if values decide the shape of what it writes, which Python sees, as that of ``nonzero``.
    """

    name: str
    module: str
    macs: int
    reads: frozenset[int]
    writes: frozenset[int]
    shapes: bool = False


@dataclass(frozen=True)
class Dispatched:
    """The operators of one forward of a network in its deployed form.

    Attributes:
        operators: its operators in order, without those that neither read nor write a tensor.
        output: the numbers of the storages of the logits.
        output_shape: the shape of the logits.
        output_bytes: called module -> bytes of its outputs over all its calls.
        unknown: operator of another library than torch -> its calls; no counter has a form for them.
        peak_bytes: the largest sum of bytes that tensors of the forward took at one time, parameters left out.
    """

    operators: list[Operator]
    output: frozenset[int]
    output_shape: tuple[int, ...]
    output_bytes: dict[str, int]
    unknown: Operators
    peak_bytes: int

    def macs(self, module: str = "") -> int:
        """The MACs of a module with all modules inside it."""
        return sum(operator.macs for operator in self.operators if inside(operator.module, module))


def inside(name: str, module: str) -> bool:
    """Return whether ``name`` is that of ``module`` or of a module inside it."""
    return not module or name == module or name.startswith(f"{module}.")


def around(module: str) -> Iterator[str]:
    """The names of a module and of all modules around it; ``""`` is the network."""
    while module:
        yield module
        module = module.rpartition(".")[0]
    yield ""


def record_on_meta(model: SegModel, height: int, width: int) -> Dispatched:
    """Record a forward of one image ``1 3 height width`` from shapes alone. The model is not changed.

    Raises:
        Exception: whatever a forward raises that reads a value, or that has an operator without a rule for shapes.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    return _record(model, shapes, torch.empty(1, 3, height, width, device="meta"))


def record_with_values(model: SegModel, height: int, width: int) -> Dispatched:
    """Record a forward of one image ``1 3 height width`` of zeros, where the model is, all but products computed."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    device = next((tensor.device for tensor in tensors.values()), torch.device("cpu"))
    return _record(model, tensors, torch.zeros(1, 3, height, width, device=device))


def _record(model: SegModel, tensors: dict[str, Tensor], image: Tensor) -> Dispatched:
    recorder, clone = _Recorder(), _with_same_tensors(model).eval()
    with recorder.watching(clone), recorder.reading(), single_operators(), torch.no_grad(), recorder:
        logits: Tensor = functional_call(clone, tensors, (image,), {"with_aux": False}).logits
    if recorder.refused:
        unseen = ", ".join(sorted(recorder.refused))
        raise UncountedError(f"there is no count for {unseen}; write it as matrix products")
    return Dispatched(
        recorder.operators,
        recorder.storages(logits),
        tuple(logits.shape),
        dict(recorder.output_bytes),
        dict(recorder.unknown),
        recorder.storages.peak_bytes,
    )


def _with_same_tensors(model: SegModel) -> SegModel:
    """A copy of the modules with the same parameters and buffers.

    A forward may change its module: transformers' Swin makes its windows smaller at a small image, and keeps them so.
    """
    return copy.deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


@contextmanager
def single_operators() -> Iterator[None]:
    """Inside the block, run a transformer layer of torch operator by operator, and attention without a compiler."""
    fast = torch.backends.mha.get_fastpath_enabled()
    uncompiled = patch.object(flex_attention, FLEX_SWITCH, True, create=True)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager"), uncompiled:
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@dataclass
class _Call:
    """A module that is running, and the MACs that its closed form gives beside those of its operators."""

    module: str
    formula: int | None = None


class _Storages:
    """The storages that were seen, each with a number, and the bytes of those that are alive.

    A weak reference keeps the number of a storage its own after its memory is given back.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._known: dict[int, StorageWeakRef] = {}
        self._alive: dict[int, int] = {}

    def __call__(self, value: Any) -> frozenset[int]:
        """The numbers of the storages of all tensors in a nested value."""
        return frozenset(self._number(leaf) for leaf in tree_leaves(value) if isinstance(leaf, Tensor))

    def made(self, numbers: frozenset[int], value: Any) -> None:
        """Note that tensors in a nested value are new, if those ``numbers`` do not hold them."""
        for leaf in tree_leaves(value):
            if isinstance(leaf, Tensor) and (number := self._number(leaf)) not in numbers:
                self._alive[number] = leaf.untyped_storage().nbytes()
        if sum(self._alive.values()) > self.peak_bytes:
            self._alive = {number: size for number, size in self._alive.items() if not self._known[number].expired()}
            self.peak_bytes = max(self.peak_bytes, sum(self._alive.values()))

    def _number(self, tensor: Tensor) -> int:
        reference = StorageWeakRef(tensor.untyped_storage())
        self._known.setdefault(reference.cdata, reference)
        return int(reference.cdata)


class _Recorder(TorchDispatchMode):
    """Records every operator that is dispatched inside it."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in torch
        self.operators: list[Operator] = []
        self.output_bytes: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.storages = _Storages()
        self._running: list[_Call] = []
        self._formulas = kernels()

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Inside the block, know which module is running."""
        handles: list[Any] = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(partial(self._enter, name), with_kwargs=True))
            handles.append(module.register_forward_hook(lambda _, __, output: self._leave(output)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside the block, record the calls that give values to Python without an operator."""

        def recorded(call: Callable[..., Any]) -> Callable[..., Any]:
            def read(tensor: Tensor, *args: Any, **named: Any) -> Any:
                module = self._running[-1].module if self._running else ""
                self.operators.append(Operator(call.__name__, module, 0, self.storages(tensor), frozenset()))
                return call(tensor, *args, **named)

            return read

        with ExitStack() as stack:
            for name in UNSEEN_READS:
                stack.enter_context(patch.object(Tensor, name, recorded(getattr(Tensor, name))))
            yield

    def _enter(self, name: str, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._running.append(_Call(name, module_macs(module, inputs, named)))

    def _leave(self, output: Any) -> None:
        call = self._running.pop()
        self.output_bytes[call.module] += distinct_bytes(output)
        if call.formula is not None:
            written = self.storages(output)
            self.operators.append(Operator(DEFORMABLE_ATTENTION, call.module, call.formula, frozenset(), written))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", func)
        form = self._formulas.get(packet)
        if form is None and hasattr(func, "decompose") and func is not torch.ops.prim.device.default:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        skipped = form is not None and not list(_mutated(func, args)) and not kwargs.get("out") and packet is not func
        out = _uncomputed(func, args, kwargs) if skipped else func(*args, **kwargs)
        self._note(func, packet, args, kwargs, out, 0 if form is None else form(*args, **kwargs, out_val=out) // 2)
        if form is None:
            self._doubt(packet)
        return out

    def _note(self, func: Any, packet: Any, args: Any, kwargs: Any, out: Any, macs: int) -> None:
        reads, writes = self.storages((args, kwargs)), self.storages((out, list(_mutated(func, args))))
        self.storages.made(reads, out)
        if reads or writes:
            name, module = str(packet).removeprefix("aten."), self._running[-1].module if self._running else ""
            self.operators.append(Operator(name, module, macs, reads, writes, _has_shape_of_values(func, packet, args)))

    def _doubt(self, packet: Any) -> None:
        """Note an operator of another library, and refuse an attention kernel, where neither has a closed form."""
        name = str(packet)
        if any(call.formula is not None for call in self._running):
            return
        if any(word in name for word in ATTENTION):
            self.refused.add(name)
        if not name.startswith(("aten.", "prim")):
            self.unknown[name] += 1


def _has_shape_of_values(func: Any, packet: Any, args: Any) -> bool:
    """Return whether values decide the shape of an operator's output; those of whole numbers as an index do not."""
    if torch.Tag.dynamic_output_shape not in getattr(func, "tags", ()):
        return False
    masks = (torch.bool, torch.uint8)
    indices = args[1] if packet is torch.ops.aten.index else ()
    return not indices or any(isinstance(index, Tensor) and index.dtype in masks for index in indices)


def _uncomputed(func: Any, args: Any, kwargs: Any) -> Any:
    """The output of an operator as shapes tell it: on the meta device as usual, elsewhere with zeros for its values."""
    devices = {leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
    if devices == {torch.device("meta")}:
        return func(*args, **kwargs)
    device = next(device for device in devices if device.type != "meta")
    shapes = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
    return tree_map_only(Tensor, lambda shape: _zeros(shape, device), func(*shapes[0], **shapes[1]))


def _zeros(shape: Tensor, device: torch.device) -> Tensor:
    """Zeros of the shape, strides and type of a tensor, whose memory is not touched before they are read."""
    return torch.zeros(shape.numel(), dtype=shape.dtype, device=device).as_strided(shape.size(), shape.stride())


def _mutated(func: Any, args: Iterable[Any]) -> Iterator[Any]:
    """The arguments that an operator writes to."""
    schema = getattr(func, "_schema", None)
    for known, value in zip(schema.arguments if schema is not None else (), args, strict=False):
        if known.alias_info is not None and known.alias_info.is_write:
            yield value
