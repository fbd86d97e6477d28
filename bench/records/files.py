"""Files of a results folder, each written in one step: JSON, text and arrays. No torch, no ray.

A JSON file may carry a digest of its own content, so that a number that was edited afterwards is seen. It is no
signature: it shows an accident or a hasty hand, and whoever writes a file can give it a digest.
"""

from __future__ import annotations

import gc
import glob
import hashlib
import json
import lzma
import os
import re
import stat
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile
from pydantic_core import from_json

from bench.parts import BenchError

_NUMBERS = re.compile(r'\[\n([^\[\]{}":]+)\]')
"""A list of numbers that stretches over several lines. Line breaks in JSON strings are escaped, so none is found."""


class RecordError(BenchError, ValueError):
    """Records that cannot be read or must not be compared."""


def write_json(data: Mapping[str, Any], path: Path) -> None:
    """Write JSON into ``path``. A new file is flushed to disk and then renamed, so that no crash leaves half a file."""
    write_text(json_text(data), path)


def json_text(data: Mapping[str, Any]) -> str:
    """JSON that people and ``git diff`` can read: one line for each entry, and one for a whole row of numbers.

    Raises:
        ValueError: for NaN and infinity.
    """
    text = json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)
    return _NUMBERS.sub(lambda numbers: f"[{' '.join(numbers[1].split())}]", text) + "\n"


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text into ``path``, by a rename as :func:`write_json` does it."""
    write_at_once(path, lambda file: file.write(text.encode()))


def write_bytes(content: bytes, path: Path) -> None:
    """Write bytes into ``path``, by a rename as :func:`write_json` does it."""
    write_at_once(path, lambda file: file.write(content))


def write_arrays(arrays: Mapping[str, npt.NDArray[Any]], path: Path, *, compress: bool = True) -> None:
    """Write arrays as an NPZ into ``path``, by a rename as :func:`write_json` does it."""
    save = np.savez_compressed if compress else np.savez
    write_at_once(path, lambda file: save(file, allow_pickle=False, **arrays))


def write_zip(entries: Mapping[str, bytes], path: Path) -> None:
    """Write files into a zip file, uncompressed, by a rename as :func:`write_json` does it, without a date."""

    def fill(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in entries.items():
                archive.writestr(zipfile.ZipInfo(name), content)

    write_at_once(path, fill)


LARGEST_ARRAYS = 2**32
"""The most bytes of arrays that are read from one file: a small archive may claim to hold any number."""


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an NPZ file, by name; all of them without names.

    Raises:
        RecordError: for a file that is no NPZ file, or that lacks one of the arrays.
    """
    with refusing_damage(path), open_file(path) as file, NpzFile(file) as archive:
        size = sum(entry.file_size for entry in zipfile.ZipFile(file).infolist())
        if size > LARGEST_ARRAYS:
            raise ValueError(f"it holds {size:,} bytes, and no file of results more than {LARGEST_ARRAYS:,}")
        return {name: _array(archive, name) for name in (archive.files if names is None else names)}


def _array(archive: NpzFile, name: str) -> npt.NDArray[Any]:
    try:
        array = archive[name]
    except (SyntaxError, TypeError, TokenError) as error:
        raise ValueError(f"the header of {name} is damaged") from error
    if not isinstance(array, np.ndarray):  # a file without the first bytes of an array comes back as bytes
        raise ValueError(f"{name} is no array")
    return array


DAMAGE = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, SyntaxError, MemoryError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""The errors that damaged zip files, and damaged arrays and images in them, were seen to raise in their readers. A
RuntimeError is about encryption or an unknown kind of compression, a SyntaxError about the order of a PNG file."""


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Inside of the block, what a damaged archive raises is one error that names the file, and nothing is warned of.

    Raises:
        RecordError: in place of any of :data:`DAMAGE`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own, on files that it then decodes or refuses
            yield
    except RecordError:
        raise
    except DAMAGE as error:
        raise RecordError(f"{path} cannot be read ({_why(error)}); delete it, and reports go without it") from error


def _why(error: Exception) -> str:
    """An error's reason in one short line; some errors come without a text, and some repeat what a file holds."""
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, EOFError):
        return "it ends too early"
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"


LONGEST_REASON = 200
"""The most characters of another library's message that a refusal repeats."""


def arrays_digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """The digest of the names, types, shapes and values of arrays, whatever the file that they lie in."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}\n".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def write_at_once(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside ``path`` and rename it to that, so that no file is ever left half written.

    Args:
        fill: writes the content.

    Raises:
        OSError: for a file that cannot be written; it names ``path``, not the file that was to be renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # the error of a full disk does not name the file
        raise


def unfinished(path: Path) -> list[Path]:
    """The files that processes left which were killed while they wrote ``path``."""
    return sorted(path.parent.glob(f".{glob.escape(path.name)}.*.part"))


LARGEST_TEXT = 2**27
"""The most bytes of a file of JSON that is read: a plan of 100,000 trials has 25 MB."""


def read_bytes(path: Path) -> bytes:
    """The content of a file of JSON.

    Raises:
        OSError: for a file that is not there or may not be read.
        ValueError: for a folder, a pipe, a device, and a file that is larger than any file of results.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_TEXT:
            raise ValueError(f"it has {size:,} bytes, and no file of results has more than {LARGEST_TEXT:,}")
        return file.read(size + 1)


def open_file(path: Path) -> FileIO:
    """An open file to read from. A pipe is refused, since its reader would wait for a writer.

    Raises:
        OSError: for a file that is not there or may not be read.
        ValueError: for anything but an ordinary file, as a device may have no end.
    """
    try:
        file = FileIO(path, opener=_open_at_once)
    except IsADirectoryError:
        raise ValueError("it is a folder, not a file") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is a pipe or a device, not a file")
    return file


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_json(path: Path) -> Any:
    """The data in a JSON file.

    Raises:
        OSError: as :func:`read_bytes` does.
        ValueError: as :func:`read_bytes` and :func:`parse_json` do.
    """
    return parse_json(read_bytes(path))


def parse_json(content: bytes) -> Any:
    """The data that JSON text holds.

    Raises:
        ValueError: if it is not valid JSON: not UTF-8, nested too deeply, or with NaN or an unpaired surrogate.
    """
    try:
        return from_json(content, allow_inf_nan=False)  # it takes less than half of the time, but its errors say less
    except ValueError:
        return _parse_with_python(content)


def _parse_with_python(content: bytes) -> Any:
    try:
        data = json.loads(content.decode(), parse_constant=_refuse)
        if b"\\ud" in content.lower():
            json.dumps(data, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except MemoryError:
        raise ValueError("it needs more memory than there is") from None
    return data


def is_finite(content: bytes) -> bool:
    """``False`` if JSON text may hold NaN or infinity. One byte is searched first, ten times as fast."""
    return not ((b"N" in content and b"NaN" in content) or (b"I" in content and b"Infinity" in content))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


_MARK = b',\n "digest": "'
"""The bytes between a content and its digest: the digest is the last entry of the file's object."""


def with_digest(data: Mapping[str, Any]) -> str:
    """JSON text of an object, with the digest of its other entries as its last one.

    Raises:
        ValueError: for NaN and infinity.
    """
    text = json_text({name: value for name, value in data.items() if name != "digest"}).encode()
    return (text.removesuffix(b"\n}\n") + _MARK + _digest(text) + b'"\n}\n').decode()


def without_digest(content: bytes) -> bytes | None:
    """The content without its digest, if both are byte for byte as :func:`with_digest` wrote them; ``None`` if not."""
    start, mark, rest = content.rpartition(_MARK)
    text = start + b"\n}\n"
    return text if mark and rest == _digest(text) + b'"\n}\n' else None


def is_digest(value: object, data: Mapping[str, Any]) -> bool:
    """``True`` if a value is the digest of an object, whatever the spaces and line breaks of the file it came from."""
    return value == _digest(json_text(data).encode()).decode()


def file_digest(content: bytes) -> str:
    """The digest of a file, as a plan keeps it of each of the study's own files."""
    return hashlib.sha256(content).hexdigest()


def _digest(text: bytes) -> bytes:
    return file_digest(text).encode()


@contextmanager
def no_collection() -> Iterator[None]:
    """Inside of the block, Python does not search for circular references.

    Records have none, and for 10,000 of them the search takes a third of the time. After the block, objects that were
    made in it count as searched already; otherwise they would be searched three times.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():
                gc.freeze()  # this moves all objects to a generation that is never searched …
                gc.unfreeze()  # … and from there to the oldest one
            gc.enable()
