"""The base of all JSON documents, and how one is printed: alone on standard output, all else on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, TextIO

import typer
from pydantic import BaseModel, ConfigDict, JsonValue

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print the result as one JSON document (docs/json.md), all else on standard error."),
]

Rows = list[dict[str, JsonValue]]
"""The rows of a table: the name of a field -> its value."""


class JsonObject(BaseModel):
    """An object of a document: it has the fields of its form and no other, and no number is infinite."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Document(JsonObject):
    """A whole document. Its subclass names its kind, in ``document``, and the number of its form, in ``version``.

    The number grows when a field goes or has another meaning; a field that is added changes none.
    """

    def as_text(self) -> str:
        """The document as one line of JSON in ASCII, on whose characters no terminal acts."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), allow_nan=False).replace("\x7f", "\\u007f")


def argv() -> list[str]:
    """The words of the command, without the option that chooses the form of its output alone."""
    return [word for word in sys.argv if word != "--json"]


Give = Callable[[Document], None]
"""A function that a command gives its document to."""


def keep_silent(document: Document) -> None:
    """Print no document, for a command without ``--json``."""


@contextmanager
def only_document(as_json: bool) -> Iterator[Give]:
    """Inside the block, print a document by the function that is given; nothing else reaches standard output.

    Whatever the command, the code of a study or a process of its own prints meanwhile goes to standard error. Without
    ``as_json`` nothing changes.
    """
    if not as_json:
        yield keep_silent
        return
    documents: list[Document] = []
    out = sys.stdout
    out.flush()
    try:
        with redirect_stdout(sys.stderr), _processes_write_to_stderr(out):
            yield documents.append
    finally:
        for document in documents:
            out.write(document.as_text() + "\n")
        out.flush()


@contextmanager
def _processes_write_to_stderr(out: TextIO) -> Iterator[None]:
    """Inside the block, standard output is standard error for the processes that are started too."""
    try:
        descriptor = out.fileno()
    except OSError:  # it is no file, but a text in memory
        yield
        return
    kept = os.dup(descriptor)
    os.dup2(sys.__stderr__.fileno() if sys.__stderr__ else descriptor, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
