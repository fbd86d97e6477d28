"""The JSON documents of the commands that work on results folders: report, compare, export, merge, rekey and clean."""

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


class MergeDocument(Document):
    """Results folders that were merged into one.

    Attributes:
        folder: the folder that they were merged into.
        sources: the other folders.
        added: the number of records that came from them.
        records: the number of records that it has now.
        left_out: the files that it has with another content, and keeps.
    """

    document: Literal["merge"] = "merge"
    version: Literal[1] = 1
    folder: str
    sources: list[str]
    added: int
    records: int
    left_out: list[str]


class Untouched(JsonObject):
    """Records that keep the keys that they have.

    Attributes:
        records: their number.
        reason: why they have no new key.
    """

    records: int
    reason: str


class RekeyDocument(Document):
    """Records that have keys of the present version now.

    Attributes:
        folder: the results folder.
        planned: the number of trials of its plan.
        records: the number of records with a new key.
        digests: the number of records that had no digest of their content and have one now.
        untouched: the records that are left as they are.
        differences: how the present source differs from the source that made the records, in one line each.
    """

    document: Literal["rekey"] = "rekey"
    version: Literal[1] = 1
    folder: str
    planned: int
    records: int
    digests: int
    untouched: list[Untouched]
    differences: list[str]


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
