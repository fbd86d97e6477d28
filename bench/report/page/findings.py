"""The findings of a study, in plain sentences, each with the place on the page where its evidence is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.evidence import speedups, stats
from bench.evidence.contrasts import ASKED, Contrast
from bench.evidence.effects import Resolution
from bench.evidence.evidence import Evidence
from bench.protocol.columns import JUDGED, column
from bench.protocol.words import first_few, in_sentence, joined, percent, plural, tally, verdict
from bench.records.quality import MeasuredQuality
from bench.records.results import Results
from bench.report.page.views import addresses
from bench.report.tables.effects import equivalent
from bench.report.tables.speed import doubts

ABLATION, EFFECTS, CLASSES, OUTCOMES, AUDIT = "ablation", "effects-full", "classes", "outcomes", "audit-section"
CURVES = "score-curves"
"""The ids of the tables and of the section of the page that hold the evidence."""


MOST_FINDINGS = 9
"""The most findings that are read at once. Of more, the rest is folded away: findings about variants before those about
:data:`ASKED`, and unresolved ones before resolved ones."""


MOST_SILENT = 3
"""The most unresolved findings about :data:`ASKED` that come before resolved findings about variants."""


MOST_NAMED = 5
"""The most comparisons without a seed that are named."""


@dataclass(frozen=True)
class Sentence:
    """A sentence and its evidence: an address on the page and the word that the link to it has."""

    text: str
    href: str
    evidence: str


@dataclass(frozen=True)
class Finding:
    """The sentences about one comparison, with its verdict.

    Attributes:
        sentences: the sentences in reading order.
        verdict: better, worse, not resolved, or empty for none.
        kind: the kind of the comparison, a :data:`~bench.evidence.contrasts.ContrastKind`, or empty.
    """

    sentences: Sequence[Sentence]
    verdict: str = ""
    kind: str = ""

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def href(self) -> str:
        """The address on the page of the evidence for its first sentence."""
        return self.sentences[0].href


def findings(evidence: Evidence) -> list[Finding]:
    """The findings: one for each comparison with a seed, then the least differences that can be seen, then the gaps."""
    results, names, effects = evidence.results, evidence.labels, evidence.effects
    costs = {row["variant"]: row for row in evidence.variants.to_dict("records")}
    places = dict(zip(costs, addresses(ABLATION, map(names.__getitem__, costs)), strict=True))
    rows = zip(effects.to_dict("records"), addresses(EFFECTS, effects["label"]), evidence.contrasts, strict=True)
    in_order = [
        _comparison(row, place, costs, places, evidence, contrast)
        for row, place, contrast in rows
        if int(row["n"]) >= 1
    ]
    if not in_order and "quality" in results.plan.stages:
        text = "No variant has been trained with a seed that the baseline has too: nothing to compare yet."
        in_order = [_one(text, OUTCOMES, "outcomes")]
    if "quality" not in results.plan.stages:
        base = costs.get(results.baseline, {})
        in_order = [
            _one(f"{names[variant]}: {text} against the baseline.", places[variant], "cost")
            for variant, row in costs.items()
            if base and not row["is_baseline"] and (text := _cost_of([(row, base)]))
        ]
    last = (
        _runs(costs),
        _resolution(effects, evidence.resolution, in_rounds=results.plan.rounds is not None),
        _apart(evidence),
        _not_compared(evidence),
        _uneven_means(results),
        *_still_improving(evidence),
        _other_answers(evidence),
        _holes(results),
    )
    return [finding for finding in (*in_order, *last) if finding is not None]


def fold(all_findings: Sequence[Finding]) -> tuple[list[Finding], dict[str, list[Finding]]]:
    """The findings that are shown at once, and title -> the findings that are folded away; both in the order given."""
    if len(all_findings) <= MOST_FINDINGS:
        return list(all_findings), {}
    kinds = [*ASKED, "simple effect", "interaction", "variant", ""]
    by_kind = sorted(all_findings, key=lambda finding: kinds.index(finding.kind))
    resolved = [finding for finding in by_kind if finding.verdict not in ("", "not resolved")]
    asked, others = (
        [finding for finding in resolved if (finding.kind in ASKED) == is_asked] for is_asked in (True, False)
    )
    silent = [finding for finding in by_kind if finding.verdict == "not resolved" and finding.kind in ASKED]
    first = [*asked, *silent[:MOST_SILENT], *others, *silent[MOST_SILENT:]][:MOST_FINDINGS]
    more = [finding for finding in all_findings if finding in resolved and finding not in first]
    unresolved = [finding for finding in all_findings if finding.verdict == "not resolved" and finding not in first]
    rest = {"more differences were resolved": more, "differences were not resolved": unresolved}
    return [finding for finding in all_findings if not finding.verdict or finding in first], {
        title: folded for title, folded in rest.items() if folded
    }


def _one(text: str, place: str, evidence: str) -> Finding:
    return Finding([Sentence(text, f"#{place}", evidence)])


def _comparison(
    row: Mapping[Any, Any],
    place: str,
    costs: Mapping[str, Mapping[Any, Any]],
    places: Mapping[str, str],
    evidence: Evidence,
    contrast: Contrast,
) -> Finding:
    sentences = [Sentence(_effect(row, evidence.results.plan.margin), f"#{place}", "effect")]
    if row["kind"] != "interaction" and (
        cost := _cost_of([(costs[one], costs[other]) for one, other in contrast.pairs])
    ):
        lead = {"variant": " against the baseline", "main effect": " in its pairs"}.get(str(row["kind"]), "")
        where = f"#{places[contrast.pairs[0][0]]}" if len(contrast.pairs) == 1 else f"#{ABLATION}"
        sentences.append(Sentence(f"Cost{lead}: {cost}.", where, "cost"))
    if confound := evidence.undeclared(contrast.pairs):
        sentences.append(Sentence(confound, f"#{AUDIT}", "audit"))
    return Finding(sentences, str(row["verdict"]), str(row["kind"]))


def _effect(row: Mapping[Any, Any], margin: float | None) -> str:
    unit, name = column(JUDGED).difference_unit, column(JUDGED).label
    bounds = column(JUDGED).interval(row["low"], row["high"])
    parts = "the sum of both" if row["factors"] == 2 else "what they do in pairs"
    against = {"variant": " against the baseline", "interaction": f" beyond {parts}"}
    n = f"n={row['n']}" if row["n"] == row["planned"] else f"n={row['n']} of {row['planned']}"
    outcome = verdict(row) if row["kind"] != "interaction" else _interaction(row)
    delta = " ".join(words for words in (column(JUDGED).signed(row["delta"]), unit, bounds) if words)
    if row["p_equivalent"] < stats.ALPHA:
        outcome += f", equivalent {equivalent(row, margin)}"
    return f"{row['label']}: {name} {delta}{against.get(row['kind'], '')} ({n}): {outcome}."


def _interaction(row: Mapping[Any, Any]) -> str:
    than = "their sum" if row["factors"] == 2 else "in pairs"
    more = {word: f"together they do {word} than {than}" for word in ("better", "worse")}
    return more.get(row["verdict"]) or verdict(row)


def _cost_of(pairs: Sequence[tuple[Mapping[Any, Any], Mapping[Any, Any]]]) -> str:
    """The costs of the first of each pair over those of the second, as in ``1.20 × MACs and 1.35 to 1.40 × latency``.

    A ratio that is unknown in one of the pairs is left out for all of them. The text is empty if no ratio is known.
    """
    parts = []
    for name in ("macs", "latency_s", "peak_bytes"):
        ratios = [stats.quotient(one[f"{name}_ratio"], other[f"{name}_ratio"]) for one, other in pairs]
        if ratios and not any(map(math.isnan, ratios)):
            span = " to ".join(dict.fromkeys(f"{end:.2f}" for end in (min(ratios), max(ratios))))
            parts.append(f"{span}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}{in_sentence(column(name).label)}")
    return joined(parts)


def _runs(costs: Mapping[str, Mapping[Any, Any]]) -> Finding | None:
    """The finding that ratios of latencies have no interval; ``None`` if there are no such ratios."""
    latency_ratios = [row["latency_s_ratio"] for row in costs.values() if not row["is_baseline"]]
    if all(math.isnan(latency_ratio) for latency_ratio in latency_ratios):
        return None
    text = "Latencies and memory are of one run a variant: their ratios have no interval; bench speed takes turns."
    return _one(text, ABLATION, "cost")


def _resolution(effects: pd.DataFrame, able_to: Resolution | None, *, in_rounds: bool) -> Finding | None:
    if able_to is None:
        return None
    nothing = (effects["verdict"] == "not resolved").all()
    lead = f"No difference in {column(JUDGED).label} could be resolved: with" if nothing else "With"
    limit, least, most = (
        column(JUDGED).resolvable(difference) for difference in (able_to.pooled, able_to.low, able_to.high)
    )
    seeds = plural(able_to.n, "seed")
    able = f"{lead} {'up to ' * in_rounds}{seeds} and the spread seen, this study could have resolved"
    if limit == "none":
        return _one(f"{able} no difference, however large, four times out of five.", EFFECTS, "effects")
    unit = column(JUDGED).difference_unit
    by_comparison = f" (by comparison {least} to {most})" if least != most else ""
    text = f"{able} differences {limit} {unit} four times out of five{by_comparison}, and smaller ones less often."
    return _one(text, EFFECTS, "effects")


def _apart(evidence: Evidence) -> Finding | None:
    """The comparisons of scores on other classes or images, which are not made."""
    apart = {contrast.label: contrast.incomparable for contrast in evidence.contrasts if contrast.incomparable}
    if not apart:
        return None
    named = [f"{label} ({reason})" for label, reason in apart.items()]
    return _one(f"Not compared: {first_few(named, MOST_NAMED, '; ')}.", EFFECTS, "effects")


def _not_compared(evidence: Evidence) -> Finding | None:
    """The comparisons that have no seed, where others have."""
    effects = evidence.effects
    apart = {contrast.label for contrast in evidence.contrasts if contrast.incomparable}
    without = [label for label in effects.loc[effects["n"] == 0, "label"] if label not in apart]
    if len(without) in (0, len(effects)):
        return None
    named = first_few(without, MOST_NAMED, "; ")
    return _one(f"Not compared, as no seed has all the trials that it takes: {named}.", EFFECTS, "effects")


def _uneven_means(results: Results) -> Finding | None:
    """The classes without a labelled pixel that count in the mean IoU of those trials only that predict them."""
    iou = results.class_iou()
    trials = iou[iou["variant"].isin(results.comparable)].groupby("class", sort=False)["iou"].agg(["count", "size"])
    names = [str(name) for name, counted, done in trials.itertuples() if 0 < counted < done]
    if not names:
        return None
    has, it = ("has", "it") if len(names) == 1 else ("have", "them")
    text = (
        f"{column(JUDGED).label} is not over the same classes in all trials: {first_few(names, MOST_NAMED)} {has} no "
        f"labelled pixel, which gives an IoU of 0 where a trial predicts {it} and none elsewhere; the column "
        "miou_absent_zero counts every class in every trial."
    )
    return _one(text, CLASSES, "classes")


def _still_improving(evidence: Evidence) -> Iterator[Finding]:
    """The variants whose mIoU rose from the last look during training to the end, in more than the spread of seeds.

    Variants whose schedules end alike share a finding.
    """
    judged, curves = column(JUDGED), evidence.results.score_curves()
    gains: dict[tuple[int, int], list[str]] = {}
    for variant, gain in evidence.late_gains.items():
        if gain.low > 0:
            last, end = sorted(curves.loc[curves["variant"] == variant, "iteration"].unique())[-2:]
            rise = f"{evidence.labels[variant]} ({judged.signed(gain.delta)} points of {judged.label})"
            gains.setdefault((last, end), []).append(rise)
    for (last, end), rises in gains.items():
        text = (
            f"Still improving between iteration {last:,} and the end, {end:,}: {first_few(rises, MOST_NAMED)}. With a "
            "longer schedule, differences may become others."
        )
        yield _one(text, CURVES, "curves")


def _other_answers(evidence: Evidence) -> Finding | None:
    """The pixels whose class the execution mode or precision of the tests changes, where that is not eager torch's."""
    shares: dict[str, float] = {}
    for record, measured in evidence.results.done(MeasuredQuality):
        if measured.difference is not None:
            name = evidence.labels[record.trial.variant]
            shares[name] = max(shares.get(name, 0.0), measured.difference.changed)
    if not shares:
        return None
    told = {name: f"{percent(share)} of the pixels of {name}" for name, share in shares.items()}
    changing = [told[name] for name, share in shares.items() if share > speedups.CHANGES]
    does = "changes" if changing else "keeps"
    named = first_few(changing, MOST_NAMED) if changing else told[max(shares, key=shares.__getitem__)]
    text = f"The mode or precision of the tests {does} the answer: eager torch in float32 gives {named} another class."
    return _one(text, ABLATION, "scores")


def _holes(results: Results) -> Finding | None:
    statuses = [status for status in results.trials()["status"] if status != "excluded"]
    holes = [status for status in statuses if status != "done"]
    if not holes:
        return None
    text = f"{len(holes)} of {plural(len(statuses), 'trial')} gave no measurement: {tally(holes)}."
    return _one(text, OUTCOMES, "outcomes")


SPEED, CROSSINGS = "speed", "crossings"
"""The tables of the page that hold the evidence."""


WORDS = {"better": "faster", "worse": "slower", "not resolved": "not resolved"}


def speed_findings(evidence: Evidence) -> list[Finding]:
    """The findings on which side is faster, by how much and at which inputs, without timings that were not alone."""
    if "speed" not in evidence.results.plan.stages:
        return []
    known, names = evidence.speedups.dropna(subset=["ratio"]), evidence.labels
    groups = known.groupby(["variant", "against", *speedups.SETTING[2:]], sort=False)
    return [_finding(names[str(variant)], str(against), comparisons) for (variant, against, *_), comparisons in groups]


def _finding(name: str, against: str, comparisons: pd.DataFrame) -> Finding:
    """One sentence over all sizes; its verdict is better or worse only if every size has that one."""
    rows = comparisons.sort_values(["height", "width"]).to_dict("records")
    alike = {word: [row for row in rows if row["verdict"] == word] for word in WORDS}
    rows_by_verdict = {word: rows_with_it for word, rows_with_it in alike.items() if rows_with_it}
    text = "; ".join(f"{WORDS[word]} {_at(rows_with_it)}" for word, rows_with_it in rows_by_verdict.items())
    sentences = [Sentence(f"{name} against {against}: {text}.", f"#{SPEED}", "comparisons")]
    verdict = next(iter(rows_by_verdict)) if len(rows_by_verdict) == 1 else "not resolved"
    crossing = speedups.crossings_in_words(comparisons)
    if crossing == speedups.NOWHERE:  # nothing can be said of a ratio that may be 1 everywhere
        crossing = "nowhere between the sizes measured" if verdict != "not resolved" else ""
    if crossing:
        sentences.append(Sentence(f"The ratio crosses 1 {crossing}.", f"#{CROSSINGS}", "crossings"))
    return Finding(sentences, verdict)


def _at(rows: Sequence[Mapping[Any, Any]]) -> str:
    """The sizes with their ratios, ``at 256x256 (1.20 × [1.10, 1.30]) and at …``, then the reasons for no verdict."""
    places = [f"at {speedups.setting_of(row).name} ({_times(row)})" for row in rows]
    reasons = dict.fromkeys(str(row["verdict_reason"]) for row in rows if row["verdict_reason"])
    return ": ".join([joined(places), *([", ".join(reasons)] if reasons else [])])


def _times(row: Mapping[Any, Any]) -> str:
    bounds = "" if math.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return ", ".join([f"{row['ratio']:.2f} ×{bounds}", *doubts(row)])
