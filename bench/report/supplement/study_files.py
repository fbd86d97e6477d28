"""The study's own files in a bundle: its file and the modules beside it that its trials execute, as recorded.

A file counts as recorded if its content has the digest that the plan holds. It is taken from the study's folder, or
else from git at a recorded commit. A plan of an earlier bench holds no digests; its files are taken from git alone.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.records.executed import module_files
from bench.records.results import Results
from bench.report.supplement.texts import is_commit

FOLDER = "study"
"""The folder of a bundle that holds the study's files."""
UP = ".."


@dataclass(frozen=True)
class StudyFiles:
    """The files that were written into a bundle.

    Attributes:
        study: the path of the study's file, from the bundle's folder on; empty if the bundle does not have it.
        notes: a sentence about every file that is not there.
    """

    study: str
    notes: tuple[str, ...]


def write_study_files(root: Path, results: Results, study: str) -> StudyFiles:
    """Write the study's files into the folder of a bundle.

    Args:
        root: the folder of the bundle.
        results: the results in the bundle, whose plan lists the files.
        study: the study's file as the command names it; empty if it names none.
    """
    commits = _commits(results)
    if not study or not (commits or results.plan.modules):
        return StudyFiles("", ("The study's source is not included: no commit of it was recorded.",))
    path = Path(study).expanduser().absolute()
    files = {
        name: digest for name, digest in _listed(results, path.name).items() if not PurePosixPath(name).is_absolute()
    }
    depth = max(PurePosixPath(name).parts.count(UP) for name in files)
    above = path.parent.parts[-depth:] if depth else ()
    notes = []
    for name, digest in files.items():
        content = _content(path.parent, name, digest, commits)
        place = _place(above, name)
        if content is None or place is None:
            notes.append(_missing(path.name, name, digest, commits))
            continue
        target = root / FOLDER / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    written = PurePosixPath(FOLDER, *above, path.name)
    return StudyFiles(written.as_posix() if (root / written).is_file() else "", tuple(notes))


def _commits(results: Results) -> list[str]:
    """The recorded commits of the study, that of most records first."""
    recorded = [str(record.environment.study_commit) for record in results.records]
    counts = Counter(commit for commit in (*recorded, str(results.plan.created.commit)) if is_commit(commit))
    return [commit for commit, _ in counts.most_common()]


def _listed(results: Results, study: str) -> dict[str, str | None]:
    """Path of every file, from the study's folder on -> SHA-256 of its content, ``None`` where that is not recorded."""
    if results.plan.modules:
        return dict(results.plan.modules)
    modules = (file for file in module_files(results.plan) if PurePosixPath(file).name != study)
    return dict.fromkeys((study, *modules))


def _content(folder: Path, name: str, digest: str | None, commits: Sequence[str]) -> bytes | None:
    """The recorded content of a file, ``None`` if neither the study's folder nor git has it."""
    return next(
        (content for content in _candidates(folder, name, digest, commits) if _is_recorded(content, digest)), None
    )


def _candidates(folder: Path, name: str, digest: str | None, commits: Sequence[str]) -> Iterator[bytes]:
    if digest is not None and (folder / name).is_file():
        yield (folder / name).read_bytes()
    for commit in commits:
        command = ["git", "-C", str(folder), "show", f"{commit}:./{name}"]
        try:
            yield subprocess.run(command, capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue


def _is_recorded(content: bytes, digest: str | None) -> bool:
    return digest is None or hashlib.sha256(content).hexdigest() == digest


def _place(above: Sequence[str], name: str) -> PurePosixPath | None:
    """The place of a file below the folder of the study's files; ``None`` for a path that would lead out of it."""
    steps = list(above)
    for step in PurePosixPath(name).parts:
        if step != UP:
            steps.append(step)
        elif steps:
            steps.pop()
        else:
            return None
    return PurePosixPath(*steps)


def _missing(study: str, name: str, digest: str | None, commits: Sequence[str]) -> str:
    file = PurePosixPath(name).name
    what = "The study's source" if file == study else f"The study's module {file}"
    if digest is None:
        return (
            f"{what} is not included: git has no {file} of commit {commits[0][:12]} here; export from within the "
            "repository that the study was run in."
        )
    return (
        f"{what} is not included: neither the study's folder nor git has {file} with the content that was recorded; "
        "export where the study was run, before it is changed."
    )
