"""``bench export``: a results folder as one zip file for a supplement. The same results give the same bytes."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.parts import BenchError
from bench.records.files import RecordError, json_text, read_json, with_digest, write_at_once
from bench.records.results import Results, load
from bench.report.page.page import write_report
from bench.report.supplement import redaction, texts
from bench.report.supplement.redaction import Command, Redaction
from bench.report.supplement.study_files import write_study_files

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip file: the earliest one that the format can express."""
TEXT = (".json", ".csv", ".txt", ".md", ".tex")
PARTS = ("study.json", "records", "attribution", "limits-*.json")
"""The files and folders of a results folder that are always bundled."""
LARGE = ("artifacts", "pictures")
"""The folders that are bundled only on request."""


class BundleError(BenchError, ValueError):
    """A path at which no bundle can be written."""


@dataclass(frozen=True)
class Exported:
    """The zip file that an export made, and the notes that its reader must know."""

    path: Path
    notes: tuple[str, ...]


def export(folder: Path, output: Path | None = None, *, artifacts: bool = False) -> Exported:
    """Bundle a results folder: plan, records, a report built anew, environment, commands, the study's own files.

    Args:
        folder: a results folder.
        output: the zip file; by default ``<name>.zip`` beside the folder.
        artifacts: ``True`` to include the files that trials left under ``artifacts`` and ``pictures``.

    Raises:
        RecordError: for records that cannot be read or must not be compared.
        BundleError: for an output in the results folder itself, or an existing file that is no zip file.
    """
    name = folder.resolve().name
    results = load(folder)
    target, command = _target(folder, output), _command(folder, results)
    wanted = (*PARTS, *LARGE) if artifacts else PARTS
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / name
        cleaned = _copy(folder, root, command, wanted)
        write_report(root)
        exported = load(root)
        left_out = texts.left_out({part: _sizes(folder / part) for part in LARGE if part not in wanted})
        files = write_study_files(root, results, command.study)
        notes = (*files.notes, *left_out, *texts.notes(exported, cleaned.counts))
        contents = {
            "environment.txt": texts.environment(exported),
            "commands.sh": texts.commands(exported, command, files.study),
            "CITATION.txt": texts.citation(exported),
            "README.md": texts.readme(exported, name, {path.name for path in root.iterdir()}, notes),
        }
        for file, content in contents.items():
            (root / file).write_text(content, encoding="utf-8")
        _write_manifest(root)
        _write_zip(root, target)
    return Exported(target, notes)


def _command(folder: Path, results: Results) -> Command:
    try:
        return redaction.command(results.plan.command)
    except ValueError as error:
        raise RecordError(f"{folder / 'study.json'} has a command that no shell reads ({error}); correct it") from error


def _target(folder: Path, output: Path | None) -> Path:
    """The path of the zip file; raises :class:`BundleError` if no zip file can be written there."""
    target = (folder.resolve().parent / f"{folder.resolve().name}.zip" if output is None else output).absolute()
    if target.is_dir():
        raise BundleError(f"--output {target} is a folder; name a zip file")
    if target.exists() and not zipfile.is_zipfile(target):
        raise BundleError(f"{target} is there already and is no zip file; name another with --output")
    if target.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{target} lies in the results folder itself; name a place outside of it with --output")
    return target


def _copy(folder: Path, root: Path, command: Command, parts: Sequence[str]) -> Redaction:
    """Copy some parts of a results folder into the bundle, without paths of this machine in their texts."""
    cleaned = Redaction(command.known)
    top = [path for part in parts for path in sorted(folder.glob(part))]
    for path in [below for entry in top for below in [entry, *sorted(entry.rglob("*"))]]:
        file = path.relative_to(folder)
        if not path.is_file() or any(step.startswith(".") for step in file.parts):
            continue
        target = root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in TEXT:
            target.write_text(_cleaned(path, file.as_posix(), cleaned, command), encoding="utf-8")
        else:
            shutil.copyfile(path, target)
    return cleaned


def _sizes(folder: Path) -> list[int]:
    """The number of bytes of each file in a folder."""
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]


def _cleaned(path: Path, file: str, cleaned: Redaction, command: Command) -> str:
    try:
        text = path.read_bytes().decode()
        if path.suffix != ".json":
            return cleaned.text(text, file)
        before = read_json(path)
    except ValueError as error:
        raise RecordError(f"{path} cannot be read ({error}); delete it, or move it out of the folder") from error
    if file == "study.json":
        typed = before.pop("command")
        after = {**cleaned.tree(before, file), "command": command.shown}
        if command.known:
            cleaned.counts[file] = cleaned.counts.get(file, 0) + len(command.known)
        return text if after == {**before, "command": typed} else json_text(after)
    after = cleaned.tree(before, file)
    if after == before:
        return text
    return with_digest(after) if "digest" in before else json_text(after)


def _write_manifest(root: Path) -> None:
    lines = []
    for name in _files(root):
        with (root / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    (root / "MANIFEST").write_text("".join(lines), encoding="utf-8")


def _write_zip(root: Path, target: Path) -> None:
    """Write every file below ``root``, sorted, with one time and one mode. A rename puts the zip file in its place."""

    def fill(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in _files(root):
                entry = zipfile.ZipInfo(f"{root.name}/{name}", EPOCH)
                entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
                entry.file_size = (root / name).stat().st_size  # a file of more than 2 GiB needs the larger zip format
                entry.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
                with archive.open(entry, "w") as into, (root / name).open("rb") as source:
                    shutil.copyfileobj(source, into)

    write_at_once(target, fill)


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
