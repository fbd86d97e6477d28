"""The JSON documents of the commands that read results folders: report, compare, export and clean."""

from __future__ import annotations

from typing import Literal

from bench.cli.documents.document import Document, JsonObject, Rows


class ReportDocument(Document):
    """The files of a report.

    Attributes:
        page: the page.
        figures: the files of figures that were asked for.
    """

    document: Literal["report"] = "report"
    version: Literal[1] = 1
    page: str
    figures: list[str]


class TableDocument(Document):
    """One table of a report.

    Attributes:
        name: the name of the table.
        caption: its caption.
        rows: the numbers behind its columns, unrounded in stored units; what is not known is null.
    """

    document: Literal["table"] = "table"
    version: Literal[1] = 1
    name: str
    caption: str
    rows: Rows


class CompareDocument(Document):
    """Two sets of results side by side; differences are B − A, unrounded in stored units.

    Attributes:
        a: the one side.
        b: the other side.
        worse: what is resolved to be worse in B, a phrase each.
        changed: what changed between them.
        quality: the differences of qualities.
        cost: the ratios of costs.
        speed: the speed-ups of both sides.
        only: what only one of them has.
    """

    document: Literal["compare"] = "compare"
    version: Literal[1] = 1
    a: str
    b: str
    worse: list[str]
    changed: Rows
    quality: Rows
    cost: Rows
    speed: Rows
    only: Rows


class ExportDocument(Document):
    """The file of an export.

    Attributes:
        path: the zip file.
        notes: what its reader must know.
    """

    document: Literal["export"] = "export"
    version: Literal[1] = 1
    path: str
    notes: list[str]


class RemovableFiles(JsonObject):
    """Files of one kind that no report reads.

    Attributes:
        what: the kind.
        why: what their absence means.
        size_bytes: the bytes that they take.
        files: the files.
    """

    what: str
    why: str
    size_bytes: int
    files: list[str]


class CleanDocument(Document):
    """The files of a results folder that no report reads.

    Attributes:
        folder: the results folder.
        kinds: the files by kind.
        removed: true if they were removed, which takes ``--yes``.
    """

    document: Literal["clean"] = "clean"
    version: Literal[1] = 1
    folder: str
    kinds: list[RemovableFiles]
    removed: bool
