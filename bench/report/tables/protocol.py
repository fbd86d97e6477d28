"""Tables of what was planned, what came of it and how: outcomes, recipe, protocol, provenance, definitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.evidence.evidence import Evidence
from bench.protocol.words import NOTHING, first_few, leaves, plural, size, status
from bench.records.cost import MeasuredCost
from bench.records.plan.data import Data
from bench.records.quality import MeasuredQuality
from bench.records.record import Record
from bench.records.results import Results
from bench.records.speed import MeasuredSpeed
from bench.report.tables import fields
from bench.report.tables.table import Table, of_text

CHECKED, UNCHECKED = "what its digest says", "without a digest: an edit would not be seen"
"""The two things that can be said of a record's content: a record of the first format has no digest."""


NO_REPOSITORY = "no repository"
"""The text in place of a commit that is unknown."""


MOST_NAMED = 5
"""The most variants that a sentence names."""


def outcomes(evidence: Evidence) -> Table:
    """One row a planned trial in the plan's order: variant, stage, seed, outcome, reason, record file."""
    names, trials = evidence.labels, evidence.results.trials()
    settings = zip(trials["stage"], trials["setting"], strict=True)
    stages = [f"{stage} at {setting}" if setting else stage for stage, setting in settings]
    rows = pd.DataFrame(
        {
            "Variant": [names[variant] for variant in trials["variant"]],
            "Stage": stages,
            "Seed": trials["seed"].astype("Int64"),
            "Outcome": [status(name) for name in trials["status"]],
            "Reason": trials["reason"],
            "Record": trials["file"],
        }
    )
    columns = {head.lower(): fields.text(head, head) for head in rows.columns}
    columns |= {"seed": fields.count("Seed", "Seed"), "outcome": fields.text("Outcome", "Outcome", tone="outcome")}
    return Table("outcomes", rows, columns, tuple(columns), "Every planned trial and what came of it.")


def tracebacks(results: Results) -> dict[str, str]:
    """Record file -> the traceback of its failure."""
    return {r.file_name: str(r.outcome.traceback) for r in results.records if r.outcome.traceback}


def recipe(evidence: Evidence) -> Table:
    """Setting and value of the recipe, nested ones as ``optimiser.momentum``."""
    choices = evidence.results.plan.recipe
    unused = [name for name in choices if is_unused(name, choices)]
    caption = "How variants are trained and tested, unless a factor says so."
    notes = f"Not used in this recipe: {', '.join(unused)}." if unused else ""
    return _pairs("recipe", "Setting", leaves(choices), caption, notes)


def is_unused(name: str, recipe: Mapping[str, Any]) -> bool:
    """True for a field of a recipe that is not used, because of what other fields say."""
    if name == "momentum":
        return recipe.get("optimiser") is not None
    if name == "poly_power":
        return str(recipe.get("schedule", "poly")) != "poly"
    if name == "step_factor":
        return str(recipe.get("schedule")) != "step"
    if name == "warmup_start":
        return not recipe.get("warmup_iterations")
    if name == "blur_sigma_px":
        return not recipe.get("blur")
    if name == "averaged":
        return not any(recipe.get(view) for view in ("window_px", "test_scales", "test_long_side_px", "test_flip"))
    return False


def protocol(evidence: Evidence) -> Table:
    """The way in which each planned stage was measured, as the records state it."""
    results = evidence.results
    plan = results.plan
    quality, cost, speed = (
        [measured for _, measured in results.done(MeasuredQuality)],
        [measured for _, measured in results.done(MeasuredCost)],
        [measured for _, measured in results.done(MeasuredSpeed)],
    )
    rows = {
        "quality": [
            ("Split", _seen(measured.split for measured in quality)),
            ("Images scored", _seen(measured.images for measured in quality)),
            ("Iterations", _seen(measured.iterations for measured in quality)),
            ("Reported", "the last iteration; no best checkpoint is picked"),
            ("Seeds", ", ".join(str(seed) for seed in plan.seeds)),
        ],
        "cost": [
            ("Cost input", _seen(f"{size(measured.input_px)} px, batch {measured.batch}" for measured in cost)),
            ("Latency samples", span([len(measured.latency_s) for measured in cost])),
            ("Memory", _seen(measured.memory_kind for measured in cost)),
            ("Not counted in MACs", uncounted(cost)),
        ],
        "speed": [
            ("Speed comparisons", "both sides in turns in one process, blocks of A B B A in an order drawn anew"),
            ("Blocks", span([len(measured.log_ratios) for measured in speed])),
            ("Calls at a time", span([measured.calls for measured in speed])),
        ],
    }
    planned = [row for stage, stage_rows in rows.items() if stage in plan.stages for row in stage_rows]
    caption = "How quality, cost and speed were measured, as the records say."
    data = [("Data", described_data(plan.data)), *data_of_variants(evidence)]
    return _pairs("protocol", "Protocol", [*data, *planned], caption)


def described_data(data: Data) -> str:
    """A data set in words: ``camvid (train_images 50), 11 classes, 50 train and 101 val images, fingerprint …``."""
    choices = ", ".join(f"{name} {value}" for name, value in data.choices.items())
    classes = "1 class" if len(data.classes) == 1 else f"{len(data.classes)} classes"
    images = " and ".join(f"{count} {split}" for split, count in data.images.items())
    counted = f", {images} images" if images else ""
    fingerprint = f", fingerprint {data.fingerprint[:12]}" if data.fingerprint else ""
    return f"{data.name}{f' ({choices})' if choices else ''}, {classes}{counted}{fingerprint}"


def data_of_variants(evidence: Evidence) -> list[tuple[str, str]]:
    """The data sets other than the baseline's: ``Data of`` the variants that have one, and the data set in words."""
    names, variants_of = evidence.labels, dict[str, list[str]]()
    for variant, data in evidence.results.plan.other_data.items():
        if variant in names:
            variants_of.setdefault(described_data(data), []).append(names[variant])
    return [(f"Data of {', '.join(variants)}", data) for data, variants in variants_of.items()]


def kept_variants(evidence: Evidence) -> str:
    """A sentence about the variants of earlier runs that are not in the study any more; empty if there are none."""
    trials = evidence.results.plan.trials
    in_study = {trial.variant for trial in trials if not trial.kept}
    kept = list(dict.fromkeys(evidence.labels[trial.variant] for trial in trials if trial.variant not in in_study))
    if not kept:
        return ""
    return (
        f"The report keeps {plural(len(kept), 'variant')} of earlier runs that the study does not have any more and "
        f"that its command does not measure again: {first_few(kept, MOST_NAMED)}."
    )


def provenance(evidence: Evidence) -> Table:
    """The sources and machines of the records: a row a fact, a column a stage; differing values with their counts."""
    results = evidence.results
    stages = [stage for stage in ("quality", "cost", "speed") if stage in results.plan.stages]
    environments = {_of_one_source(record): record for record in results.records}  # there are few of them
    facts_of = {source: _facts(record) for source, record in environments.items()}
    facts_by_stage = {
        stage: [facts_of[_of_one_source(r)] for r in results.records if r.trial.stage == stage] for stage in stages
    }
    names = list(dict.fromkeys(name for group in facts_by_stage.values() for facts in group for name in facts))
    rows = [[name, *(_seen(facts.get(name) for facts in facts_by_stage[stage]) for stage in stages)] for name in names]
    table = pd.DataFrame(rows, columns=["Fact", *(f"{stage} trials" for stage in stages)], dtype=object)
    return of_text("provenance", table, "What made the records.", absent="" if rows else "there is no record yet")


def definitions(evidence: Evidence) -> Table:
    """The measured columns of the planned stages and what they mean."""
    results = evidence.results
    rows = [
        (definition.title, definition.definition)
        for definition in results.columns.values()
        if definition.stage in results.plan.stages
    ]
    table = pd.DataFrame(rows, columns=["Column", "Definition"], dtype=object)
    return of_text("definitions", table, "What the measured columns mean.")


def commits(results: Results) -> list[str]:
    """The commits that made the records, ``(with uncommitted changes)`` where they had any; the plan's if none did."""
    made = [(record.environment.commit, record.environment.dirty) for record in results.records]
    created = results.plan.created
    return list(dict.fromkeys(_commit(*source) for source in made or [(created.commit, created.dirty)]))


def _of_one_source(record: Record) -> tuple[str, int]:
    """A value that is equal for two records of which :func:`_facts` says the same."""
    return repr(record.environment), record.version


def study_commit(record: Record) -> str:
    """The commit of the study's repository, with the words for its changes as :func:`commits` has them."""
    return _commit(record.environment.study_commit, record.environment.study_dirty)


def _facts(record: Record) -> dict[str, Any]:
    environment = record.environment.as_json()
    facts = {
        "commit": _commit(record.environment.commit, record.environment.dirty),
        "content": UNCHECKED if record.version == 1 else CHECKED,
    }
    for name in ("commit", "dirty", "study_commit", "study_dirty"):
        environment.pop(name, None)
    facts["commit of the study"] = study_commit(record)
    return facts | dict(leaves(environment))


def _commit(commit: str | None, dirty: bool | None) -> str:
    return commit[:12] + (" (with uncommitted changes)" if dirty else "") if commit else NO_REPOSITORY


def _seen(values: Iterable[Any]) -> str:
    counts = Counter(NOTHING if value is None else str(value) for value in values)
    if len(counts) <= 1:
        return next(iter(counts), NOTHING)
    return "; ".join(f"{value} ({plural(count, 'trial')})" for value, count in counts.items())


def span(counts: Sequence[int]) -> str:
    """The range of the numbers, such as ``74 to 237``; one number if all are equal, a dash for none."""
    low, high = min(counts, default=0), max(counts, default=0)
    return (str(low) if low == high else f"{low} to {high}") if counts else NOTHING


def uncounted(cost: Sequence[MeasuredCost]) -> str:
    """The operators that the count left out, in any variant."""
    names = sorted({name.removeprefix("aten::") for measured in cost for name in measured.uncounted_operators})
    return ", ".join(names) or ("nothing" if cost else NOTHING)


def _pairs(name: str, head: str, rows: Iterable[tuple[str, str]], caption: str, notes: str = "") -> Table:
    return of_text(name, pd.DataFrame(list(rows), columns=[head, "Value"], dtype=object), caption, notes)
