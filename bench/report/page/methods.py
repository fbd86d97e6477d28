"""The making of a study, in sentences for a supplement.

Every sentence repeats facts from ``study.json`` or from the records. A fact that neither holds has no sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench.evidence import stats
from bench.evidence.confounds import in_parts
from bench.evidence.evidence import Evidence
from bench.evidence.sequential.progress import Progress
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import first_few, plural, size, tally
from bench.records.cost import MeasuredCost
from bench.records.executed import HARNESS, packages
from bench.records.plan.rounds import Rounds
from bench.records.quality import MeasuredQuality
from bench.records.record import Record
from bench.records.results import Results
from bench.records.speed import MeasuredSpeed
from bench.report.page.networks import initial_weights, networks
from bench.report.page.recipe import recipe_in_words
from bench.report.tables import protocol
from bench.report.tables.formats import markdown_text
from bench.report.tables.latex import latex_text
from bench.report.tables.variants import not_compared
from bench.study.fractions import aliases_in_words, broken_in_words

HOUR_S = 3600
MOST_NAMES = 5
"""The most files that a sentence names."""


def methods(evidence: Evidence) -> str:
    """The whole text: paragraphs of plain text with an empty line between them."""
    results = evidence.results
    parts = (
        _data(evidence), networks(results, evidence.labels), _training(results, evidence.labels), _design(evidence),
        _machines(results), _source(results), _statistics(evidence), _cost_protocol(results),
        _speed_protocol(results),
    )  # fmt: skip
    paragraphs = [" ".join(sentences) for sentences in parts]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def as_markdown(text: str) -> str:
    """The text of :func:`methods` as Markdown."""
    return "\n\n".join(markdown_text(paragraph) for paragraph in text.split("\n\n")) + "\n"


def as_latex(text: str) -> str:
    """The text of :func:`methods` as LaTeX, which needs no other packages than ``amssymb`` and ``textcomp``."""
    return "\n\n".join(latex_text(paragraph) for paragraph in text.split("\n\n")) + "\n"


def _data(evidence: Evidence) -> Iterable[str]:
    results = evidence.results
    quality = results.done(MeasuredQuality)
    yield f"Data set: {protocol.described_data(results.plan.data)}."
    for variants, data in protocol.data_of_variants(evidence):
        yield f"{variants}: {data}."
    yield from filter(None, [not_compared(evidence).strip()])
    for split, images in Counter((measured.split, measured.images) for _, measured in quality):
        yield f"Quality was measured on the {plural(images, 'image')} of its {split} split."
    reported = results.plan.recipe.get("reported")
    if reported and _trains(results):
        yield f"Scores are those of the {reported}."


def _training(results: Results, names: Mapping[str, str]) -> Iterable[str]:
    if _trains(results):
        yield from initial_weights(results, names)
        yield from recipe_in_words(results, names)
    measured = [measured for _, measured in results.done(MeasuredQuality)]
    if retested := sum(bool(trial.trained_as) for trial in measured):
        trials = plural(retested, "quality trial")
        yield f"The networks of {trials} were trained before and tested here by kept weights."
    for processes, count in sorted(Counter(trial.processes for trial in measured if trial.processes > 1).items()):
        yield f"The networks of {plural(count, 'quality trial')} were trained by {processes} processes together each."
    if resumed := sum(bool(trial.resumed_after) for trial in measured):
        yield f"The training of {plural(resumed, 'quality trial')} was interrupted and went on from its kept state."
    for variant, difference in in_parts(results).items():
        yield f"{names[variant]}: {difference}, so its batch normalisation saw fewer images at once."


def _design(evidence: Evidence) -> Iterable[str]:
    results = evidence.results
    plan, trials = results.plan, results.trials()
    factors = "; ".join(f"{name} ({', '.join(map(str, levels))})" for name, levels in results.factors.items())
    design = f"{plan.design.replace('_', ' ')} design" if plan.design else "design"
    over = f" over {factors}" if factors else ""
    yield f"Design: {design}{over}, {plural(len(results.variants), 'variant')}, baseline {results.baseline}."
    cells = [plan.levels[variant] for variant in results.variants]
    if aliases := aliases_in_words(cells, plan.baseline_levels):
        yield f"Effects of up to two factors that these variants cannot tell from each other: {'; '.join(aliases)}."
    excluded = {trial.variant: trial for trial in plan.trials if trial.excluded}
    left_out = [trial.levels for trial in excluded.values()]
    yield from filter(None, [broken_in_words(cells, left_out, plan.baseline_levels)])
    if plan.seeds and _trains(results):
        yield f"Seeds: {', '.join(map(str, plan.seeds))}."
    if plan.size:
        yield f"The study was run at its size “{plan.size}”."
    for stage in plan.stages:
        statuses = trials[(trials["stage"] == stage) & (trials["status"] != "excluded")]["status"]
        if len(statuses):
            yield f"Of {plural(len(statuses), f'planned {stage} trial')}: {tally(statuses)}."
    for variant, trial in excluded.items():
        yield f"{variant} was left out: {trial.excluded}."
    yield from filter(None, [protocol.kept_variants(evidence)])
    if results.stale:
        stale = plural(len(results.stale), "record")
        yield f"Left out besides: {stale} made by other source, data or settings than the plan's."


def _machines(results: Results) -> Iterable[str]:
    processes = {trial.key: trial.processes for trial in results.plan.trials}
    for stage in _stages(results):
        of_stage = [record for record in results.files if record.trial.stage == stage]
        wall_times: dict[str, list[float | None]] = {}
        for record in of_stage:
            wall_s, gpus = record.outcome.wall_s, processes[record.planned_key] if record.environment.cuda else 1
            wall_times.setdefault(_hardware(record), []).append(None if wall_s is None else gpus * wall_s)
        for machine, times in wall_times.items():
            trials = plural(len(times), f"{stage} trial")
            yield f"{trials} ran on {machine}{_device_time([s for s in times if s is not None], len(times), stage)}."
    used = packages(results.plan)
    versions = [_versions(record, used.get(record.planned_key)) for record in results.files]
    for listed, count in Counter(text for text in versions if text).items():
        yield f"Software: {listed}." if count == len(versions) else f"Software of {plural(count, 'trial')}: {listed}."


def _source(results: Results) -> Iterable[str]:
    if not results.records:
        return
    environments = [record.environment for record in results.files]
    harness = dict.fromkeys(_commit_in_words(machine.commit, machine.dirty) for machine in environments)
    study = dict.fromkeys(_commit_in_words(machine.study_commit, machine.study_dirty) for machine in environments)
    yield f"Source of the harness: {'; '.join(harness)}. Source of the study: {'; '.join(study)}."
    dirty = [record.file_name for record in results.files if record.environment.differs_from_commits]
    if dirty:
        yield (
            f"Of {plural(len(results.files), 'record')}, {len(dirty)} come from a tree with uncommitted changes, "
            f"which its commit does not reproduce: {first_few(dirty, MOST_NAMES)}."
        )
    if results.plan.command:
        yield f"Command: {results.plan.command}"


def _rounds(rounds: Rounds, state: Progress) -> Iterable[str]:
    looks, most = ", ".join(map(str, rounds.looks)), rounds.looks[-1]
    ended = "which no comparison needed more seeds" if state.ended else "which some comparisons need more seeds"
    yield (
        f"Seeds were added in rounds that were fixed before the first, with looks at {looks} seeds: "
        f"{plural(state.over, 'round')} took place, after {ended}. Of a level, (n / {most})^{rounds.exponent:g} was "
        "spent after n seeds, by two-sided boundaries for Student's t. A comparison was given up as futile below one "
        f"that spends, as (n / {most})^{rounds.futility_exponent:g}, a chance of {rounds.miss:g} to miss a difference "
        f"of {rounds.effect:g} standard deviations; p-values do not count on that. A variant took seeds as long as one "
        "of its comparisons was open."
    )
    yield (
        "A p-value is the least level at which the rounds would have resolved the difference by its end; an interval "
        "has the means from which Student's t at the end is not too far, by the law that it has in these rounds. The "
        "looks were at mIoU: intervals of classes, images and other columns do not account for them."
    )


def _statistics(evidence: Evidence) -> Iterable[str]:
    results, rows = evidence.results, evidence.effects
    if results.plan.rounds is not None and evidence.rounds is not None:
        yield from _rounds(results.plan.rounds, evidence.rounds)
    tests = int(rows["p"].notna().sum())
    if not tests:
        return
    kind = "Student-t intervals" if results.plan.rounds is None else "intervals"
    yield (
        f"Differences in mIoU are paired by seed; intervals are two-sided {kind} of "
        f"{100 * (1 - stats.ALPHA):.0f} %. Verdicts need a p-value below {stats.ALPHA} after Holm's correction over "
        f"{plural(tests, 'comparison')}."
    )
    kinds = {
        "between levels": "levels against levels", "step": "each step against the one before",
        "simple effect": "a factor at single settings of the others", "main effect": "main effects",
        "interaction": "interactions",
    }  # fmt: skip
    effects = [name for kind, name in kinds.items() if (rows["kind"] == kind).any()]
    if effects:
        yield (
            f"Besides variants against the baseline: {', '.join(effects)}, each a weighted sum of variants' mIoU, "
            "taken in every seed that all of them have."
        )
    if margin := results.plan.margin:
        yield (
            f"Equivalence is tested by two one-sided {'Student-t tests' if results.plan.rounds is None else 'tests'} "
            "against a margin of "
            f"±{column(JUDGED).shown(margin)} points, with Holm's correction over "
            f"{plural(int(rows['p_equivalent'].notna().sum()), 'comparison')}"
            f"{' of ' + focus if (focus := results.plan.focus) else ''}."
        )


def _cost_protocol(results: Results) -> Iterable[str]:
    cost = [measured for _, measured in results.done(MeasuredCost)]
    for (pixels, batch), count in Counter((size(network.input_px), network.batch) for network in cost).items():
        yield f"Cost of {plural(count, 'network')} was measured on an input of {pixels} pixels at batch {batch}."
    samples = [len(network.latency_s) for network in cost]
    if samples:
        yield f"Latency is the median of {protocol.span(samples)} forwards, each timed until the device was done."
        yield from _timing(cost)
    for kind in Counter(network.memory_kind for network in cost if network.memory_kind):
        yield f"Peak memory: {kind}."
    if cost:
        names = protocol.uncounted(cost)
        yield f"MACs are multiply-accumulates of convolutions, linear layers and matrix products; not counted: {names}."


def _timing(cost: Sequence[MeasuredCost]) -> Iterable[str]:
    protocols = [network.latency_protocol for network in cost if network.latency_protocol]
    for clock in Counter(timing.clock for timing in protocols):
        yield f"Clock: {clock}."
    warm_up_calls = [timing.warm_up_calls for timing in protocols]
    if warm_up_calls:
        yield f"Before it, {protocol.span(warm_up_calls)} forwards warmed up."
    alone = [network.isolated for network in cost if network.isolated is not None]
    if alone:
        yield f"Of {plural(len(alone), 'timing')}, {sum(alone)} had the machine alone; any other is left out."
    for phrase, count in Counter(network.maybe_not_alone for network in cost if network.maybe_not_alone).items():
        yield f"Of {plural(count, 'timing')} it is not known whether the machine was alone; none is left out: {phrase}."
    capped = sum(bool(network.isolation.notes) for network in cost)
    if capped:
        yield f"{plural(capped, 'timing')} ran on a GPU at its power cap or with a changing clock; none is left out."


def _speed_protocol(results: Results) -> Iterable[str]:
    speed = results.done(MeasuredSpeed)
    if speed:
        blocks = [len(measured.log_ratios) for _, measured in speed]
        yield (
            f"Speed-ups: {plural(len(speed), 'comparison')}, both sides in turns in one process, "
            f"{protocol.span(blocks)} blocks each; the ratio is the Hodges–Lehmann estimate over blocks, its 95 % "
            "interval that of Wilcoxon's signed ranks."
        )


def _trains(results: Results) -> bool:
    return "quality" in results.plan.stages


def _stages(results: Results) -> list[str]:
    return list(dict.fromkeys(record.trial.stage for record in results.records))


def _hardware(record: Record) -> str:
    environment = record.environment
    name = environment.device or "an unknown device"
    return f"{name} ({plural(environment.threads, 'thread')})" if environment.threads else name


def _versions(record: Record, used: Mapping[str, str] | None) -> str:
    """The versions of Python, torch, the harness and the packages that a trial's code refers to.

    Args:
        record: the record of the trial.
        used: distribution -> version of the packages that the trial's key lists; ``None`` for a trial of an earlier
            bench, of which every recorded package is named.
    """
    environment = record.environment
    versions = {name: getattr(environment, name) for name in ("python", "torch", "cuda", "cudnn", "driver")}
    recorded = environment.bench
    if used is not None:
        harness = {name: recorded[name] for name in (HARNESS,) if name in recorded}
        others = {name: recorded.get(name, version) for name, version in used.items() if name not in versions}
        recorded = {**harness, **others}
    return ", ".join(f"{name} {value}" for name, value in {**versions, **recorded}.items() if value is not None)


def _commit_in_words(commit: str | None, dirty: bool | None) -> str:
    """A commit, and whether the files differed from it, in words."""
    if not commit:
        return protocol.NO_REPOSITORY
    changes = {True: "with uncommitted changes", False: "without uncommitted changes", None: "changes not recorded"}
    return f"commit {commit[:12]} ({changes[dirty]})"


def _device_time(known_s: Sequence[float], trials: int, stage: str) -> str:
    """The device time of some trials in words, from those whose time was recorded; empty if none was."""
    if not known_s:
        return ""
    seconds = sum(known_s)
    time = f"{seconds / HOUR_S:.2f} hours" if seconds >= 0.01 * HOUR_S else f"{seconds:.1f} seconds"
    shared = ", as the sum of trials that may have shared a device" if stage == "quality" else ""
    unknown = trials - len(known_s)
    besides = f", besides {plural(unknown, 'trial')} whose time is not recorded" if unknown else ""
    return f": {time} of device time{shared}{besides}"
