"""The texts of an exported bundle (README, environment, commands, citation), from plan and records alone."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import filter as filter_names
from importlib.metadata import PackageNotFoundError, requires
from pathlib import PurePosixPath

from bench.protocol.text import one_line
from bench.protocol.words import bytes_in_words, leaves, plural
from bench.records.executed import HARNESS, packages
from bench.records.plan.plan import Plan
from bench.records.record import Record
from bench.records.results import Results
from bench.report.page.summary import UNCOMMITTED, report_command
from bench.report.supplement.redaction import Command
from bench.report.tables.formats import markdown_text

FILES = {
    "study.json": "question, factors, recipe and every planned trial with its key",
    "records/": "one JSON file a trial: settings, environment, outcome, raw measurements in SI units",
    "report/": "the report: open index.html; its tables and the data of its figures lie beside it",
    "attribution/": "where costs are, module by module (bench cost)",
    "limits-*.json": "the largest batches and inputs that fit (bench limits)",
    "artifacts/": "of a quality trial: counts of every image (NPZ), and predictions (a zip file of PNG)",
    "pictures/": "thumbnails of the evaluated images and labels; the licence of the data set holds for them",
    "study/": "the study's file and the modules beside it that it executes, as they were recorded",
    "environment.txt": "versions, device and commit of every set of records",
    "commands.sh": "the commands that made this, in order",
    "CITATION.txt": "what to cite",
    "MANIFEST": "SHA-256 of every other file; check with `sha256sum -c MANIFEST`",
}
OPTIONAL = ("attribution/", "limits-*.json", "artifacts/", "pictures/", "study/")


def readme(results: Results, name: str, present: Collection[str], notes: Sequence[str]) -> str:
    """The README of a bundle: what each file is, how to use the bundle, and what a reader must know.

    Args:
        results: the results in the bundle.
        name: the name of the bundle's folder.
        present: the files and folders in the bundle, of which only some are in every bundle.
        notes: the facts that a reader must know.
    """
    files = {
        file: content
        for file, content in FILES.items()
        if file not in OPTIONAL or filter_names(present, file.rstrip("/"))
    }
    lines = [
        f"# {markdown_text(results.plan.name)}",
        "",
        markdown_text(results.plan.question),
        "",
        "| file | what it is |",
        "| --- | --- |",
        *(f"| `{file}` | {content} |" for file, content in files.items()),
        "",
        "With segbench installed, in the folder that holds this one, this builds the report anew from the records:",
        "",
        f"    bench report {shlex.quote(f'./{name}' if name.startswith('-') else name)}",
        "",
        "and in Python this is the whole table as a pandas DataFrame:",
        "",
        f"    import bench; bench.results({name!r})",
        "",
        "## Notes",
        "",
        *(f"- {markdown_text(note)}" for note in notes or ["Every planned trial is done, and nothing was replaced."]),
    ]
    return "\n".join(lines) + "\n"


def left_out(parts: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """A sentence about the parts of a results folder that are not in the bundle, from the bytes of their files."""
    folders = [
        f"{name}/ ({plural(len(sizes), 'file')}, {bytes_in_words(sum(sizes))})"
        for name, sizes in parts.items()
        if sizes
    ]
    if folders:
        yield (
            f"Left out: {' and '.join(folders)}. Without {'them' if len(folders) > 1 else 'it'} the report here has no "
            "table of images and no gallery; bench export --artifacts adds what is there."
        )


def notes(results: Results, replaced: Mapping[str, int]) -> Iterator[str]:
    """The notes on replaced paths, on trials without a result and on records that do not belong to the plan."""
    for file, count in sorted(replaced.items()):
        yield f"{file}: {plural(count, 'path')} of the machine replaced ($DATA, …)."
    for record in results.files:
        if record.status != "done":
            yield f"records/{record.file_name}: {record.status}, {_trial_of(record)}."
    for record in results.stale:
        reason = "stale, made by other source, settings or data than planned"
        yield f"records/{record.file_name}: {reason} ({_trial_of(record)})."
    recorded = {record.planned_key for record in results.records}
    missing = [trial for trial in results.plan.trials if not trial.excluded and trial.key not in recorded]
    if missing:
        yield f"{len(missing)} of {len(results.plan.trials)} planned trials have no record."
    if any(record.environment.differs_from_commits for record in results.records):
        yield UNCOMMITTED


def environment(results: Results) -> str:
    """Every environment in the records, each under a line with the number of trials that ran in it."""
    by_environment: dict[str, list[Record]] = {}
    for record in (*results.files, *results.stale):
        by_environment.setdefault(json.dumps(record.environment.as_json(), sort_keys=True), []).append(record)
    parts = []
    for text, records in sorted(by_environment.items()):
        stages = Counter(record.trial.stage for record in records)
        head = ", ".join(f"{count} {stage}" for stage, count in sorted(stages.items()))
        parts.append(
            "\n".join([f"# trials: {head}", *(f"{name}: {value}" for name, value in leaves(json.loads(text)))])
        )
    return "\n\n".join(parts) + "\n" if parts else "No trial has a record.\n"


def commands(results: Results, command: Command, study: str = "") -> str:
    """A shell script that clones the source, runs the study and builds its report.

    Addresses and folders that only its reader knows are variables. The report is built from the folder that the run
    makes, whatever name this results folder has by now.

    Args:
        results: the results in the bundle.
        command: the command that made them; a plan alone is followed by a run with the same options.
        study: the study's file in the bundle, from the bundle's folder on; empty if the bundle does not have it.
    """
    commit, others = _commits(results)
    shown = command.of_file(f'"$HERE"/{shlex.quote(study)}') if study else command.shown
    program, _, options = shown.partition(" ")
    step, _, options = options.partition(" ")
    others_used = _more_packages(results)
    lines = [
        "#!/usr/bin/env bash",
        f"# What made the results of {one_line(results.plan.name)}, in order.",
        "set -euo pipefail",
        ': "${REPOSITORY:?set it to the address of the repository that these results are from}"',
        *(
            [': "${DATA:?set it to the folder of the data set}"', 'DATA="$(realpath "$DATA")"']
            if "$DATA" in shown
            else []
        ),
        *([': "${RAY_ADDRESS:?set it to the address of a Ray cluster}"'] if "$RAY_ADDRESS" in shown else []),
        *(['HERE="$(realpath "$(dirname "$0")")"'] if study else []),
        'git clone "$REPOSITORY" source',
        "cd source",
        f"git checkout {shlex.quote(commit)}" if commit else "# no commit was recorded",
        *(f"# some records are of commit {shlex.quote(other)}" for other in others),
        "python3 -m venv .venv",
        ".venv/bin/pip install -c constraints.txt -e .",
        *([f".venv/bin/pip install {shlex.join(others_used)}"] if others_used else []),
        *([f"export PYTHONPATH={_import_path(study)}"] if study else []),
        f".venv/bin/{program} {'run' if step == 'plan' else step} {options}".rstrip(),
        f".venv/bin/{report_command(results.plan, shown)}",
    ]
    return "\n".join(lines) + "\n"


def _import_path(study: str) -> str:
    """The folders that a study's modules are imported from: its own, and that of all its files in the bundle."""
    folder = PurePosixPath(study).parent.as_posix()
    return ":".join(f'"$HERE"/{shlex.quote(path)}' for path in dict.fromkeys((folder, folder.partition("/")[0])))


def _more_packages(results: Results) -> list[str]:
    """The packages with versions that the trials use and that the harness does not bring along."""
    try:
        brought = {re.split(r"[^\w.-]", line)[0].lower() for line in requires(HARNESS) or () if "extra ==" not in line}
    except PackageNotFoundError:
        return []
    used = {name: version for versions in packages(results.plan).values() for name, version in versions.items()}
    return [
        f"{name}=={version}"
        for name, version in sorted(used.items())
        if name not in brought and re.fullmatch(r"\w[\w.-]*", name) and re.fullmatch(r"[\w.!+-]*\d[\w.!+-]*", version)
    ]


def citation(results: Results) -> str:
    """A text by which these results can be cited."""
    plan, (commit, _) = results.plan, _commits(results)
    versions = {str(r.environment.bench.get("segbench")) for r in results.records} - {"None"}
    return (
        f"Study: {one_line(plan.name)}. {one_line(plan.question)}\n"
        f"Made with segbench {', '.join(sorted(versions)) or '(version not recorded)'}, "
        f"commit {commit or 'not recorded'}.\n"
        f"{_cited_data(plan)}"
        "Cite the data set and the papers of the networks too: each component's source file names its paper.\n"
    )


def _cited_data(plan: Plan) -> str:
    """A line about each data set of the plan."""
    data_sets = {(data.name, data.fingerprint): None for data in (plan.data, *plan.other_data.values())}
    return "".join(f"Data: {one_line(name)}, fingerprint {digest or 'not recorded'}.\n" for name, digest in data_sets)


def is_commit(text: str) -> bool:
    """True if a text is the name of a commit, so that git cannot take it for an option."""
    return re.fullmatch(r"[0-9a-f]{7,64}", text) is not None


def _commits(results: Results) -> tuple[str, list[str]]:
    """The commit of the harness that most records name, or else the plan, and the other commits."""
    counts = Counter(str(r.environment.commit) for r in results.files)
    counts = Counter({commit: count for commit, count in counts.items() if is_commit(commit)})
    if not counts:
        created = str(results.plan.created.commit)
        return created if is_commit(created) else "", []
    first, *others = [commit for commit, _ in sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))]
    return first, others


def _trial_of(record: Record) -> str:
    seed = record.trial.seed
    return f"{record.trial.stage} of {record.trial.variant}" + ("" if seed is None else f", seed {seed}")
