"""The ways into transformers: a configuration that is checked, and weights from a folder in the hub's form."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.network.checkpoints.files import COUNTER, StateFileError, misfit
from bench.network.raised import raised_in
from bench.network.whole.backbones import complete, misfits
from bench.network.whole.config import OF_THE_DATA, HubConfig, hub_config_of
from bench.network.whole.families import Family
from bench.parts import BenchError, ChoiceError, nearest

log = logging.getLogger("bench.network.whole.hub")

INDEX = "model.safetensors.index.json"
"""The file beside weights that are in several files."""

AT_LEAST_ONE = (
    "decoder_layers", "dim_feedforward", "embed_dim", "hidden_dim", "hidden_size", "image_size", "num_attention_heads",
    "num_hidden_layers", "num_queries", "patch_size", "window_size",
)  # fmt: skip
"""The numbers of configurations that no network has none of, which transformers does not check."""

ONE_FILE = "model.safetensors"
"""The file of weights that are in one."""


def transformers() -> Any:
    """The library.

    Raises:
        BenchError: if it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise BenchError(
            "the network HuggingFace needs transformers, which is not installed: pip install 'segbench[transformers]'"
        ) from error


def class_of(library: Any, name: str) -> Any:
    """A class of the library.

    Raises:
        BenchError: if the installed version does not have it.
    """
    if not hasattr(library, name):
        raise BenchError(
            f"transformers {library.__version__} has no {name}: pip install --upgrade 'segbench[transformers]'"
        )
    return getattr(library, name)


def built_config(library: Any, family: Family, config: HubConfig, num_classes: int) -> Any:
    """The configuration of a network for a number of classes.

    Raises:
        ChoiceError: for an entry that the configuration does not have, or a value that it refuses.
    """
    entries = config.as_json()
    cls = class_of(library, family.config)
    if (kind := entries.pop("model_type", cls.model_type)) != cls.model_type:
        raise ChoiceError(
            f"{family.config}: the configuration is of a network with the model_type {kind!r}, not "
            f"{cls.model_type!r}; choose the architecture of the configuration"
        )
    entries = {**family.defaults(entries), **entries}
    inner = entries.get("backbone_config")
    if family.has_backbone and isinstance(inner, dict) and "model_type" not in inner:
        raise ChoiceError(
            f"{family.config}: backbone_config has no model_type; give the name that transformers has for the "
            "backbone, such as hub_config(model_type='swin', …)"
        )
    if family.has_backbone and isinstance(inner, dict):
        complete(inner)
    try:
        return cls(**entries, num_labels=num_classes)
    except Exception as error:  # a configuration raises whatever its own code meets in a value
        raise ChoiceError(f"{family.config} refuses the configuration: {in_one_line(error)}") from error


def random_network(cls: Any, config: Any) -> Any:
    """A network with random weights.

    Raises:
        ChoiceError: if entries that the configuration took do not make a network, such as two depths for four stages.
    """
    try:
        return cls(config)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {in_one_line(error)}{raised_in(error)}"
        raise ChoiceError(
            f"{cls.__name__} cannot be built from this configuration: "
            f"{misfits(config) or f'{told}; give entries that fit each other'}"
        ) from error


def refuse_mistakes(library: Any, family: Family, config: HubConfig) -> None:
    """Refuse entries that were written by hand, and that the configuration would take silently.

    Such are entries that it never reads, and numbers below 1. A file may have both, for parts that are not built.

    Raises:
        ChoiceError: for such an entry, also of a backbone.
    """
    if config.of_file:
        return
    entries = config.as_json()
    _refuse_mistakes(class_of(library, family.config), entries, family.config)
    inner = entries.get("backbone_config")
    if family.has_backbone and isinstance(inner, dict) and "model_type" in inner:
        _check_backbone(library, inner)


def _check_backbone(library: Any, inner: Mapping[str, Any]) -> None:
    known = library.models.auto.configuration_auto.CONFIG_MAPPING
    kind = inner.get("model_type")
    if kind not in known:
        raise ChoiceError(
            f"backbone_config has the model_type {kind!r}{nearest(str(kind), known)}; give the name that transformers "
            "has for the backbone, such as hub_config(model_type='swin', …)"
        )
    _refuse_mistakes(known[kind], inner, f"backbone_config ({kind})")


def _refuse_mistakes(cls: Any, entries: Mapping[str, Any], called: str) -> None:
    known = {*cls().to_dict(), *cls.attribute_map, *getattr(cls, "__dataclass_fields__", ())} - set(OF_THE_DATA)
    for name, value in entries.items():
        if name not in known:
            raise ChoiceError(f"{called} has no entry {name!r}{nearest(name, known)}")
        if name in AT_LEAST_ONE and isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise ChoiceError(f"{called}({name}={value}): expected at least 1")


def in_one_line(error: BaseException) -> str:
    """The message of an error of another library in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def folder_config(folder: str) -> HubConfig:
    """The configuration of the weights in a folder.

    Raises:
        StateFileError: if there is none.
    """
    if not (Path(folder) / "config.json").is_file():
        raise StateFileError(
            f"no config.json in {folder} (a relative path starts from the working folder); give a folder in the form "
            "of Hugging Face's hub, with config.json and model.safetensors"
        )
    return hub_config_of(folder)


def loaded(cls: Any, config: Any, folder: str, sha256: str, classifiers: tuple[str, ...]) -> Any:
    """A network with the weights of a folder, all of them or none.

    Args:
        cls: the class of the network.
        config: its configuration.
        folder: the folder.
        sha256: the checksum of its files, as :func:`checksum` computes it.
        classifiers: the beginnings of the names of tensors whose first side may be another number of classes.

    Raises:
        StateFileError: if the files are others than the checksum says, cannot be read, or do not fit.
    """
    _verify(folder, sha256)
    return _fitted(cls, config, folder, classifiers, {"use_safetensors": True, "local_files_only": True})


def check_weights(cls: Any, config: Any, folder: str, sha256: str, classifiers: tuple[str, ...]) -> None:
    """Refuse what :func:`loaded` would refuse, but read the names and shapes of tensors in place of their values.

    Args and errors are those of :func:`loaded`.
    """
    _verify(folder, sha256)
    with torch.device("cpu"):
        _fitted(cls, config, folder, classifiers, {"state_dict": _without_values(folder)})


def _verify(folder: str, sha256: str) -> None:
    if (got := checksum(folder)) != sha256:
        raise StateFileError(
            f"{folder} has the SHA-256 {got}, expected {sha256}; these are other files: fetch them again, or choose "
            "their weights_sha256 if they are those that you mean"
        )


def _without_values(folder: str) -> dict[str, Tensor]:
    """The tensors of a folder's weights by their names, each of one number that stands for all of its values."""
    library = importlib.import_module("safetensors")
    tensors = {}
    for file in weight_files(folder):
        try:
            with library.safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - the file is no mapping
                    tensors[name] = torch.zeros(()).expand(opened.get_slice(name).get_shape())
        except (OSError, _corrupt()) as error:
            raise StateFileError(f"the weights in {folder} cannot be loaded: {in_one_line(error)}") from error
    return tensors


def _fitted(cls: Any, config: Any, folder: str, classifiers: tuple[str, ...], source: Mapping[str, Any]) -> Any:
    """A network with weights that fit, from the folder or from a state dict in place of it."""
    with _quiet():
        try:
            network, told = cls.from_pretrained(
                None if "state_dict" in source else folder,
                config=config,
                dtype=torch.float32,  # a folder may have half precision, with which no training starts
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **source,
            )
        except (OSError, ValueError, RuntimeError, KeyError, _corrupt()) as error:
            raise StateFileError(f"the weights in {folder} cannot be loaded: {in_one_line(error)}") from error
    others = {name: (tuple(got), tuple(wanted)) for name, got, wanted in told["mismatched_keys"]}
    of_classes = {
        name for name, (got, wanted) in others.items() if name.startswith(classifiers) and got[1:] == wanted[1:]
    }
    problems = {
        "missing": sorted(name for name in told["missing_keys"] if not name.endswith(COUNTER)),
        "unexpected": sorted(told["unexpected_keys"]),
        "of another shape": sorted(
            f"{name} (got {got}, expected {wanted})" for name, (got, wanted) in others.items() if name not in of_classes
        ),
    }
    if any(problems.values()):
        raise StateFileError(
            f"{folder} does not fit {cls.__name__}{misfit(problems)}; choose the config of the weights"
        )
    log.info("%s fits; of another number of classes, so left random: %s", folder, sorted(of_classes) or "none")
    return network


def _corrupt() -> type[Exception]:
    error: type[Exception] = importlib.import_module("safetensors").SafetensorError
    return error


def weight_files(folder: str) -> list[Path]:
    """The files of a folder's weights, in order: one, or several that have an index beside them."""
    place = Path(folder)
    several = sorted(place.glob("model-*-of-*.safetensors")) if (place / INDEX).is_file() else []
    return several or [place / ONE_FILE]


def checksum(folder: str) -> str:
    """The SHA-256 of the files of a folder, one after the other: its configuration, its index if any, its weights.

    Raises:
        StateFileError: if there are no weights of safetensors.
    """
    place, weights = Path(folder), weight_files(folder)
    files = [place / "config.json", *([] if weights[0].name == ONE_FILE else [place / INDEX]), *weights]
    for file in files:
        if not file.is_file():
            raise StateFileError(f"no {file.name} in {folder}; {_remedy(place)}")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _remedy(folder: Path) -> str:
    if any(folder.glob("pytorch_model*.bin")):
        return (
            "its pytorch_model.bin is not read, as such a file may hold code: load it by from_pretrained of "
            "transformers, and keep the network by its save_pretrained, which writes model.safetensors"
        )
    return "give a folder with config.json and model.safetensors"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from writing a table and a progress bar: what does not fit is told by an error."""
    words = importlib.import_module("transformers.utils.logging")
    level, had_bars = words.get_verbosity(), words.is_progress_bar_enabled()
    words.set_verbosity_error()
    words.disable_progress_bar()
    try:
        yield
    finally:
        words.set_verbosity(level)
        if had_bars:
            words.enable_progress_bar()
