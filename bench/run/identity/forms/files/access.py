"""The calls that read, write or list files, and the expression in each that names the file or folder."""

from __future__ import annotations

import ast

from ..meaning import Meaning

READERS = frozenset(
    {
        "numpy.load", "numpy.loadtxt", "numpy.genfromtxt", "numpy.fromfile", "numpy.memmap", "torch.load",
        "pandas.read_csv", "io.open", "gzip.open", "bz2.open", "lzma.open", "codecs.open", "PIL.Image.open",
        "cv2.imread", "os.open",
    }
)  # fmt: skip
"""The functions outside this project that read the file which their first argument names, as ``open`` does."""
READING_METHODS = frozenset({"read_text", "read_bytes", "open"})
WRITERS = {
    "torch.save": 1, "torchvision.utils.save_image": 1, "numpy.save": 0, "numpy.savez": 0, "numpy.savez_compressed": 0,
    "numpy.savetxt": 0, "cv2.imwrite": 0, "os.mkdir": 0, "os.makedirs": 0, "os.remove": 0, "shutil.rmtree": 0,
}  # fmt: skip
"""Function outside this project -> the index of the argument that names what it makes or removes."""
WRITING_METHODS = frozenset({"write_text", "write_bytes", "mkdir", "touch", "unlink"})
"""The methods that make or remove the file or folder that they belong to."""
SAVING_METHODS = frozenset({"save", "savefig", "tofile", "to_csv"})
"""The methods that write the file which their first argument names."""
LISTERS = frozenset({"iterdir", "glob", "rglob", "iglob", "listdir", "scandir", "walk"})


def read_by(meaning: Meaning, node: ast.Call) -> ast.expr | None:
    """The expression for the path of the file that a call reads."""
    path = meaning.external_called(node)
    if path in READERS or meaning.builtin_called(node) == "open":
        named = [word.value for word in node.keywords if word.arg in ("file", "path", "fname", "filename")]
        return next(iter([*node.args[:1], *named]), None)
    is_method = path is None and isinstance(node.func, ast.Attribute) and node.func.attr in READING_METHODS
    return node.func.value if is_method and isinstance(node.func, ast.Attribute) else None


def written_by(meaning: Meaning, node: ast.Call) -> ast.expr | None:
    """The expression for the path of the file or folder that a call makes or removes."""
    path = meaning.external_called(node)
    if path is not None:
        index = WRITERS.get(path)
        return node.args[index] if index is not None and index < len(node.args) else None
    if not isinstance(node.func, ast.Attribute):
        return None
    if node.func.attr in WRITING_METHODS:
        return node.func.value
    return node.args[0] if node.func.attr in SAVING_METHODS and node.args else None


def is_writing(node: ast.Call) -> bool:
    """Return whether ``open`` opens a file only to write it."""
    modes = [word.value for word in node.keywords if word.arg == "mode"]
    is_method = isinstance(node.func, ast.Attribute) and node.func.attr == "open"
    modes += node.args[:1] if is_method else node.args[1:2]
    mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else ""
    return isinstance(mode, str) and mode[:1] in ("w", "x", "a") and "+" not in mode


def is_listing(node: ast.expr) -> bool:
    """Return whether an expression lists files."""
    return isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in LISTERS
