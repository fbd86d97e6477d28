"""``bench export``: a results folder as one zip file for a supplement. The same results give the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import bundle_texts as texts
from bench import redaction
from bench.records import Results, load
from bench.redaction import Command, Redaction
from bench.report.page import write_report

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Of every file in the zip: the earliest time that the format knows."""
TEXT = (".json", ".csv", ".txt", ".md", ".tex")


@dataclass(frozen=True)
class Exported:
    """What an export made: the zip file, and what its reader must know."""

    path: Path
    notes: tuple[str, ...]


def export(folder: Path, output: Path | None = None, *, artifacts: bool = False) -> Exported:
    """Bundle a results folder: plan, records, a report built anew, environment, commands, the study's source.

    Args:
        folder: a results folder.
        output: the zip file; by default ``<name>.zip`` beside the folder.
        artifacts: whether what trials left under ``artifacts`` goes with it.

    Raises:
        RecordError: for records that cannot be read or must not be compared.
    """
    name = folder.resolve().name
    results = load(folder)
    command = redaction.command(str(results.plan["command"]))
    target = output or folder.resolve().parent / f"{name}.zip"
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / name
        cleaned = _copy(folder, root, command, artifacts=artifacts)
        write_report(root)
        exported = load(root)
        notes = (*_source(root, results, command), *texts.notes(exported, cleaned.counts))
        contents = {
            "environment.txt": texts.environment(exported),
            "commands.sh": texts.commands(exported, command.shown, name),
            "CITATION.txt": texts.citation(exported),
            "README.md": texts.readme(exported, name, {path.name for path in root.iterdir()}, notes),
        }
        for file, content in contents.items():
            (root / file).write_text(content, encoding="utf-8")
        _write_manifest(root)
        _write_zip(root, target)
    return Exported(target, notes)


def _copy(folder: Path, root: Path, command: Command, *, artifacts: bool) -> Redaction:
    """Plan, records, cost attribution, limits and, if wanted, artifacts, without paths of this machine."""
    cleaned = Redaction(command.known)
    limits = sorted(path.name for path in folder.glob("limits-*.json"))
    names = ["study.json", "records", "attribution", *limits, *(["artifacts"] if artifacts else [])]
    found = [path for name in names for path in [folder / name, *sorted((folder / name).rglob("*"))]]
    for path in found:
        if not path.is_file() or path.name.startswith("."):
            continue
        file = path.relative_to(folder).as_posix()
        target = root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix not in TEXT:
            shutil.copyfile(path, target)
            continue
        text = path.read_text(encoding="utf-8")
        target.write_text(_cleaned(text, file, cleaned, command), encoding="utf-8")
    return cleaned


def _cleaned(text: str, file: str, cleaned: Redaction, command: Command) -> str:
    if not file.endswith(".json"):
        return cleaned.text(text, file)
    before = json.loads(text)
    if file == "study.json":
        typed = before.pop("command")
        after = {**cleaned.tree(before, file), "command": command.shown}
        if command.known:
            cleaned.counts[file] = cleaned.counts.get(file, 0) + len(command.known)
        return text if after == {**before, "command": typed} else json.dumps(after, indent=1, ensure_ascii=False) + "\n"
    after = cleaned.tree(before, file)
    return text if after == before else json.dumps(after, indent=1, ensure_ascii=False) + "\n"


def _source(root: Path, results: Results, command: Command) -> tuple[str, ...]:
    """Write the study's file as it is at the recorded commit; a note where that cannot be had."""
    recorded = [str(record.environment.get("study_commit")) for record in results.records]
    counts = Counter(each for each in (*recorded, str(results.plan["created"].get("commit"))) if texts.is_commit(each))
    if not command.study or not counts:
        return ("The study's source is not included: no commit of it was recorded.",)
    [(commit, _)] = counts.most_common(1)
    path = Path(command.study).expanduser()
    try:
        shown = subprocess.run(
            ["git", "-C", str(path.parent), "show", f"{commit}:./{path.name}"], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return (f"The study's source is not included: git has no {path.name} of commit {commit[:12]} here.",)
    target = root / "study" / path.name
    target.parent.mkdir()
    target.write_bytes(shown.stdout)
    return ()


def _write_manifest(root: Path) -> None:
    lines = [f"{hashlib.sha256((root / file).read_bytes()).hexdigest()}  {file}\n" for file in _files(root)]
    (root / "MANIFEST").write_text("".join(lines), encoding="utf-8")


def _write_zip(root: Path, target: Path) -> None:
    """Every file under the name of ``root``, sorted, with one time and one mode; by a rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in _files(root):
                entry = zipfile.ZipInfo(f"{root.name}/{name}", EPOCH)
                entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
                entry.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
                with archive.open(entry, "w") as into, (root / name).open("rb") as source:
                    shutil.copyfileobj(source, into)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
