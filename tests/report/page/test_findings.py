"""Sentences that say no more than the numbers do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.evidence.evidence import evidence_of
from bench.records.record import write
from bench.records.results import load
from bench.report.page.findings import findings

Plant = Callable[..., Path]
A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)


def finding_texts(folder: Path) -> list[str]:
    return [finding.text.replace("\N{NO-BREAK SPACE}", " ") for finding in findings(evidence_of(folder))]


def test_a_resolved_difference_is_said_with_interval_seeds_and_price(tmp_path: Path, planted_results: Plant) -> None:
    assert (
        "attention=on: mIoU +5.00 points [+4.75, +5.25] against the baseline (n=3): better. Cost against the baseline: "
        "3.00 × MACs, 1.50 × latency and 1.20 × peak memory." in finding_texts(planted_results(tmp_path))
    )


def test_a_study_that_resolves_nothing_says_what_it_could_have_seen(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.60, 0.62], B: [0.61, 0.61], C: [0.63, 0.60], D: [0.60, 0.63]}
    text = " ".join(finding_texts(planted_results(tmp_path, scores=scores)))
    assert "No difference in mIoU could be resolved: with 2 seeds and the spread seen" in text
    assert "better." not in text


def test_a_half_finished_study_says_how_many_seeds_it_rests_on_and_what_is_missing(
    tmp_path: Path, planted_results: Plant
) -> None:
    scores = {A: [0.60, 0.62, None], B: ["failed", None, None], C: [0.65, None, None], D: [None] * 3}
    text = finding_texts(planted_results(tmp_path, scores=scores))
    assert text[0].startswith(
        "attention=on: mIoU +5.00 points against the baseline (n=1 of 3): not resolved (one seed)."
    )
    assert text[-1] == "9 of 16 trials gave no measurement: 8 missing, 1 failed."


def test_an_average_that_a_failed_variant_takes_away_is_named(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.60, 0.62], B: [0.61, 0.61], C: [0.63, 0.66], D: ["failed", "out_of_memory"]}
    text = finding_texts(planted_results(tmp_path, scores=scores))
    assert text[-2] == (
        "Not compared, as no seed has all the trials that it takes: attention=on + upsampling=jpu; "
        "attention=on, on average; upsampling=jpu, on average; attention=on × upsampling=jpu."
    )


def test_zero_records_are_said_to_be_zero(tmp_path: Path, planted_results: Plant) -> None:
    nothing = {name: [None] for name in (A, B, C, D)}
    text = finding_texts(planted_results(tmp_path, scores=nothing, costs=dict.fromkeys(nothing)))
    assert text[0].endswith("nothing to compare yet.")
    assert text[1] == "8 of 8 trials gave no measurement: 8 missing."


def test_a_mode_of_the_tests_that_changes_the_answer_is_said(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    assert not any("mode or precision" in text for text in finding_texts(folder)), "eager torch has no difference"

    def tested(changed: float) -> None:
        record = next(record for record in load(folder).records if record.trial.variant == C and record.trial.seed == 0)
        measured = record.as_json()["measured"]
        apart = {"max_abs": 0.5, "largest": 10.0, "changed": changed}
        write(record.having(measured={**measured, "difference": apart, "prepared_s": 2.0}), folder / "records")

    tested(0.0334)
    assert (
        "The mode or precision of the tests changes the answer: eager torch in float32 gives 3.34 % of the pixels of "
        "attention=on another class." in finding_texts(folder)
    )
    tested(0.0004)
    assert (
        "The mode or precision of the tests keeps the answer: eager torch in float32 gives 0.04 % of the pixels of "
        "attention=on another class." in finding_texts(folder)
    )


def test_a_study_of_costs_says_costs(tmp_path: Path, planted_results: Plant) -> None:
    assert finding_texts(planted_results(tmp_path, stages=["cost"])) == [
        "upsampling=jpu: 2.00 × MACs, 1.25 × latency and 1.10 × peak memory against the baseline.",
        "attention=on: 3.00 × MACs, 1.50 × latency and 1.20 × peak memory against the baseline.",
        "attention=on + upsampling=jpu: 4.00 × MACs, 1.75 × latency and 1.30 × peak memory against the baseline.",
        "Latencies and memory are of one run a variant: their ratios have no interval; bench speed takes turns.",
    ]


def test_an_interaction_is_said_to_be_beyond_the_sum(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.600, 0.621, 0.610], B: [0.620, 0.640, 0.631], C: [0.650, 0.670, 0.661], D: [0.740, 0.761, 0.751]}
    text = finding_texts(planted_results(tmp_path, scores=scores))
    (sentence,) = [finding for finding in text if "×  " in finding or "on × upsampling" in finding]
    assert sentence.startswith("attention=on × upsampling=jpu: mIoU +7.0")
    assert sentence.endswith("beyond the sum of both (n=3): together they do better than their sum.")


def test_a_spread_too_wide_for_any_difference_is_said_to_be(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.3, 0.9], B: [0.9, 0.3], C: [0.5, 0.4], D: [0.2, 0.8]}
    text = " ".join(finding_texts(planted_results(tmp_path, scores=scores)))
    assert "could have resolved no difference, however large, four times out of five." in text


def test_a_factor_has_the_span_of_its_costs_in_pairs(tmp_path: Path, planted_results: Plant) -> None:
    macs = {A: 4, B: 8, C: 5, D: 15}
    costs = {name: {"macs": {"backbone": count}, "isolated": name != D} for name, count in macs.items()}
    all_findings = findings(evidence_of(planted_results(tmp_path, costs=costs)))
    (average,) = [finding for finding in all_findings if finding.text.startswith("upsampling=jpu, on average")]
    cost = average.sentences[1].text.replace("\u00a0", " ")
    assert cost == "Cost in its pairs: 2.00 to 3.00 × MACs.", "no latency: one pair has none"
    (interaction,) = [finding for finding in all_findings if finding.kind == "interaction"]
    assert "Cost" not in interaction.text


def test_a_class_that_only_some_trials_predict_is_named(tmp_path: Path, planted_results: Plant) -> None:
    """No pixel is labelled sky; where one is predicted so, the mean has one class more, with an IoU of 0."""
    never, once = [[90, 10, 0], [10, 90, 0], [0, 0, 0]], [[90, 10, 0], [10, 89, 1], [0, 0, 0]]
    factors, scores = {"head": ["a", "b"]}, {"head=a": [never, never], "head=b": [once, never]}
    text = finding_texts(planted_results(tmp_path, factors=factors, scores=scores))
    assert any("mIoU is not over the same classes in all trials: sky has no labelled pixel" in each for each in text)
    even = finding_texts(
        planted_results(tmp_path / "even", factors=factors, scores={"head=a": [once], "head=b": [once]})
    )
    assert not any("not over the same classes" in each for each in even)
