"""The gallery: which images it shows, and that its pictures are what was predicted."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.evidence.evidence import Evidence, evidence_of
from bench.records.files import RecordError
from bench.records.pictures import VOID, Album
from bench.records.record import read_all, write
from bench.report.gallery import gallery as gallery_module
from bench.report.gallery import layers
from bench.report.gallery.entries import Panel, Pool
from bench.report.gallery.gallery import CSV, Gallery, pictures
from bench.report.gallery.layers import CLASS_COLOURS, LIGHT_NEUTRAL, NEUTRAL
from bench.report.gallery.ranking import sides
from tests.conftest import plant_counts
from tests.report.planted_pictures import LABEL, counted, guess, plant_pictures

Plant = Callable[..., Path]
Wrong = Mapping[str, Sequence[Sequence[int] | None]]
OFF, ON = "attention=off", "attention=on"
WRONG: Wrong = {
    OFF: [[10] * 10, [10] * 10],
    ON: [[4, 10, 12, 9, 8, 16, 10, 7, 11, 6], [2, 10, 12, 9, 8, 14, 10, 7, 11, 6]],
}
"""Wrong pixels of each image, by variant and seed. The differences in 46ths of mIoU, mean over both seeds, are 7, 0,
-2, 1, 2, -5, 0, 3, -1 and 4."""


@pytest.fixture
def planted(tmp_path: Path, planted_results: Plant) -> Callable[..., Path]:
    def plant(wrong: Wrong = WRONG, names: Sequence[str] = [f"frame {i}" for i in range(10)], **more: Any) -> Path:
        """A results folder with artifacts; a seed whose entry is ``None`` has none."""
        factors = {"attention": [variant.partition("=")[2] for variant in wrong]}
        scores = {variant: [total(counts or [0] * len(names)) for counts in seeds] for variant, seeds in wrong.items()}
        folder = planted_results(
            tmp_path, factors=factors, scores=scores, stages=("quality",), images=len(names), **more
        )
        plant_pictures(folder, wrong, names)
        return folder

    return plant


def total(wrong: Sequence[int]) -> list[list[int]]:
    """The confusion matrix of three classes over images with so many wrong pixels."""
    matrix: list[list[int]] = counted(wrong, 3).sum(0).tolist()
    return matrix


def gallery(folder: Path) -> Gallery:
    view = pictures(folder, evidence_of(folder))
    assert view is not None
    return view


def layer(view: Gallery, panel: Panel, kind: str) -> np.ndarray:
    """The values of a layer's palette PNG, ``H W``; where it is transparent, 0."""
    (name,) = [panel_layer.picture for panel_layer in panel.layers if panel_layer.kind == kind]
    return np.array(picture(view, name))


def picture(view: Gallery, name: str) -> Image.Image:
    head, _, content = view.pictures[name].partition(";base64,")
    assert head in ("data:image/png", "data:image/jpeg")
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_the_extremes_stand_first_and_the_median_image_last(planted: Callable[..., Path]) -> None:
    (pair,) = gallery(planted()).pairs
    shown = [(entry.image, entry.kind, round(entry.mean_delta * 46, 6)) for entry in pair.entries]
    assert shown == [
        ("frame 0", "better", 7), ("frame 9", "better", 4), ("frame 7", "better", 3), ("frame 4", "better", 2),
        ("frame 5", "worse", -5), ("frame 2", "worse", -2), ("frame 1", "median", 0),
    ]  # fmt: skip
    assert (pair.variant, pair.baseline) == (ON, "baseline")
    assert "6 images of 10" in pair.chosen
    assert (
        "higher on 5, lower on 3 and the same on 2; the median image changes by 0.00 points and is shown last."
        in pair.chosen
    )
    assert "(n=2)" in pair.effect


def test_an_entry_says_which_seed_it_shows_and_what_each_side_scores(planted: Callable[..., Path]) -> None:
    view = gallery(planted())
    entry = view.pairs[0].entries[4]
    assert (entry.image, entry.seed) == ("frame 5", 0)
    assert (entry.miou, entry.miou_baseline) == pytest.approx((7 / 46, 13 / 46))
    assert entry.change == "−10.87 points, mean of 2 seeds; seed 0, shown: −13.04"
    says = {panel_layer.kind: panel_layer.says for panel_layer in entry.variant.layers}
    assert says["classes"] == "Prediction of attention=on for image frame 5: mIoU 15.22\N{NO-BREAK SPACE}%"
    assert (entry.height, entry.width, entry.stride) == (4, 6, 1)


def test_the_table_has_a_row_an_entry(planted: Callable[..., Path]) -> None:
    view = gallery(planted())
    assert tuple(view.table.columns) == CSV
    assert len(view.table) == len(view.pairs[0].entries) == 7
    row = view.table.iloc[0]
    assert (row["variant"], row["baseline"], row["image"], row["chosen"], row["seeds"]) == (
        ON, OFF, "frame 0", "better", 2,
    )  # fmt: skip
    assert (row["delta"], row["mean_delta"]) == pytest.approx((6 / 46, 7 / 46))


def test_a_seed_is_shown_that_goes_the_way_of_the_mean(planted: Callable[..., Path]) -> None:
    wrong = {OFF: [[10, 10], [10, 10]], ON: [[6, 10], [11, 10]]}  # 4 and -1, both 2.5 from their mean
    entry = gallery(planted(wrong, ["a", "b"])).pairs[0].entries[0]
    assert (entry.seed, round(entry.delta * 46, 6)) == (0, 4)
    wrong = {OFF: [[10, 10], [10, 10]], ON: [[11, 10], [6, 10]]}
    assert gallery(planted(wrong, ["a", "b"])).pairs[0].entries[0].seed == 1


def test_predictions_are_the_planted_ones_and_void_is_grey(planted: Callable[..., Path]) -> None:
    view = gallery(planted())
    entry = view.pairs[0].entries[0]
    for panel, values in ((entry.baseline, guess(10)), (entry.variant, guess(4)), (entry.label, LABEL)):
        kind = "label" if panel is entry.label else "classes"
        assert layer(view, panel, kind).tolist() == np.where(LABEL == VOID, VOID, values).tolist()
        (name,) = [panel_layer.picture for panel_layer in panel.layers if panel_layer.kind == kind]
        colours = picture(view, name).convert("RGB")
        assert "#{:02X}{:02X}{:02X}".format(*colours.getpixel((0, 0))) == NEUTRAL
        assert "#{:02X}{:02X}{:02X}".format(*colours.getpixel((5, 3))) == CLASS_COLOURS[0]
        with picture(view, panel.layers[0].picture) as image:
            assert (image.format, image.size) == ("JPEG", (6, 4))


def test_void_is_hatched_and_a_class_is_not() -> None:
    label = np.full((8, 16), VOID, dtype=np.uint8)
    label[:, 8:] = 1
    picture = Image.open(io.BytesIO(layers.classes(np.ones_like(label), label, 2))).convert("RGB")
    seen = [["#{:02X}{:02X}{:02X}".format(*picture.getpixel((x, y))) for x in range(16)] for y in (0, 4)]
    dark, light = [NEUTRAL] * 4, [LIGHT_NEUTRAL] * 4
    assert seen == [[*dark, *light, *[CLASS_COLOURS[1]] * 8], [*light, *dark, *[CLASS_COLOURS[1]] * 8]]


def test_as_many_classes_as_labels_can_hold_have_a_picture() -> None:
    label = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = np.array(Image.open(io.BytesIO(layers.classes(label, label, 255))))
    assert picture.ravel()[:255].tolist() == list(range(255))


def test_errors_tell_what_is_wrong_on_one_side_from_what_is_wrong_on_both(planted: Callable[..., Path]) -> None:
    view = gallery(planted())
    entry = view.pairs[0].entries[0]  # pixels 1 to 4 are wrong on both sides, 5 to 10 in the baseline alone
    both, alone = layers.WRONG_ON_BOTH, layers.WRONG_HERE
    assert layer(view, entry.baseline, "errors").ravel().tolist() == [0, *[both] * 4, *[alone] * 6, *[0] * 13]
    assert layer(view, entry.variant, "errors").ravel().tolist() == [0, *[both] * 4, *[0] * 19]
    (name,) = [panel_layer.picture for panel_layer in entry.variant.layers if panel_layer.kind == "errors"]
    alpha = np.asarray(picture(view, name).convert("RGBA"))[..., 3].ravel()
    assert alpha.tolist() == [0, *[255] * 4, *[0] * 19]


def test_boundaries_are_those_of_the_prediction(planted: Callable[..., Path]) -> None:
    view = gallery(planted())
    entry = view.pairs[0].entries[0]
    # Ones at (0, 1) … (0, 4); every pixel next to another class, above, below or beside.
    assert layer(view, entry.variant, "boundaries").tolist() == [
        [1, 1, 1, 1, 1, 1],
        [0, 1, 1, 1, 1, 0],
        [0] * 6,
        [0] * 6,
    ]
    assert layer(view, entry.variant, "truth").sum() == 0, "the outline of a region towards void is none"


def test_a_picture_that_is_shown_twice_is_held_once(planted: Callable[..., Path]) -> None:
    view = gallery(planted())
    shown = [panel_layer for entry in view.pairs[0].entries for panel in (entry.label, entry.baseline, entry.variant)
             for panel_layer in panel.layers]  # fmt: skip
    assert {panel_layer.picture for panel_layer in shown} == set(view.pictures)
    assert len(set(view.pictures.values())) == len(view.pictures) < len(shown)


def test_without_artifacts_or_pictures_there_is_no_gallery(planted: Callable[..., Path]) -> None:
    nothing: Wrong = {OFF: [None, None], ON: [None, None]}
    folder = planted(nothing)
    assert pictures(folder, evidence_of(folder)) is None
    assert sides(folder, evidence_of(folder)) == {}
    folder = planted({OFF: WRONG[OFF], ON: [None, None]})
    assert len(sides(folder, evidence_of(folder))) == 1
    assert pictures(folder, evidence_of(folder)) is None


def test_pictures_that_were_deleted_leave_no_gallery(planted: Callable[..., Path]) -> None:
    folder = planted()
    (folder / "pictures" / "planted.npz").unlink()
    assert pictures(folder, evidence_of(folder)) is None
    for path in (folder / "artifacts").iterdir():
        path.unlink()
    assert pictures(folder, evidence_of(folder)) is None


def test_a_study_of_cost_alone_has_no_gallery(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path, stages=("cost",))
    assert pictures(folder, evidence_of(folder)) is None


def test_a_seed_that_one_side_lacks_is_not_compared(planted: Callable[..., Path]) -> None:
    view = gallery(planted({OFF: WRONG[OFF], ON: [None, WRONG[ON][1]]}))
    entry = view.pairs[0].entries[0]
    assert (entry.seed, round(entry.mean_delta * 46, 6)) == (1, 8)
    assert entry.change == "+17.39 points (seed 1)"
    assert set(view.table["seeds"]) == {1}


def test_a_seed_without_pictures_counts_and_is_not_shown(planted: Callable[..., Path]) -> None:
    folder = planted()
    (gone,) = (r for r in read_all(folder / "records") if (r.trial.variant, r.trial.seed) == (ON, 0))
    measured = {name: value for name, value in gone.measured.as_json().items() if name != "pictures"}
    write(gone.having(measured=measured), folder / "records")
    entries = gallery(folder).pairs[0].entries
    assert {entry.seed for entry in entries} == {1}
    assert round(entries[0].mean_delta * 46, 6) == 7, "both seeds are in the mean"


def test_variants_of_other_images_are_not_compared(planted: Callable[..., Path]) -> None:
    folder = planted()
    for record in read_all(folder / "records"):
        if record.trial.variant == ON:
            counts = counted(WRONG[ON][record.trial.seed], 3)
            plant_counts(folder, record, [f"other {i}" for i in range(10)], counts, record.measured.pictures)
    assert pictures(folder, evidence_of(folder)) is None


def test_an_image_without_labels_is_left_out(planted: Callable[..., Path]) -> None:
    folder = planted()
    for record in read_all(folder / "records"):
        wrong = WRONG[record.trial.variant][record.trial.seed]
        counts, names = counted(wrong, 3), [f"frame {i}" for i in range(10)]
        counts[0] = 0
        measured = {**record.measured.as_json(), "confusion": total(wrong[1:])}
        plant_counts(folder, record.having(measured=measured), names, counts, record.measured.pictures)
    (pair,) = gallery(folder).pairs
    assert "frame 0" not in {entry.image for entry in pair.entries}
    assert " of 9, " in pair.chosen


def test_one_image_gives_one_entry(planted: Callable[..., Path]) -> None:
    entries = gallery(planted({OFF: [[3]], ON: [[5]]}, ["only"])).pairs[0].entries
    assert [(entry.image, entry.kind) for entry in entries] == [("only", "worse")]


def test_a_damaged_artifact_is_named(planted: Callable[..., Path]) -> None:
    folder = planted()
    path = next((folder / "artifacts").glob("q1s0.npz"))
    path.write_bytes(b"PK\x03\x04 rubbish")
    with pytest.raises(RecordError, match=r"q1s0\.npz cannot be read .*delete it"):
        pictures(folder, evidence_of(folder))


def test_a_prediction_of_another_size_than_its_label_is_named(planted: Callable[..., Path]) -> None:
    folder = planted()
    album = Album(folder / "artifacts" / "q1s0.predictions.npz", folder / "pictures" / "planted.npz")
    for index in range(10):
        album.add(f"frame {index}", np.zeros((3, 5, 7), dtype=np.uint8), LABEL, np.zeros((5, 7), dtype=np.uint8))
    album.write()
    with pytest.raises(RecordError, match=r"q1s0\.predictions\.npz holds a prediction of another size than its label"):
        pictures(folder, evidence_of(folder))


def test_what_was_resolved_stands_first_and_no_more_than_four_pairs_are_shown(
    planted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = ["off", *"abcdef"]
    wrong = {f"attention={level}": [[10, 8], [10, 8]] for level in levels}
    folder = planted(wrong, ["one", "two"])
    effects = evidence_of(folder).effects.copy()
    effects["delta"] = [0.01, 0.05, -0.04, 0.02, 0.03, 0.001]
    effects["verdict"] = [*["not resolved"] * 5, "worse"]
    monkeypatch.setattr(Evidence, "effects", effects)
    shown = [pair.variant for pair in gallery(folder).pairs]
    assert shown == [f"attention={level}" for level in "fbce"]


def test_pictures_that_do_not_fit_are_left_out_and_the_most_telling_ones_stay(
    planted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planted()
    whole = sum(map(len, gallery(folder).pictures.values()))
    monkeypatch.setattr(gallery_module, "MOST_BYTES", whole * 6 // 10)
    view = gallery(folder)
    assert 0 < sum(map(len, view.pictures.values())) <= whole * 6 // 10
    kinds = [entry.kind for entry in view.pairs[0].entries]
    assert 3 <= len(kinds) < 7
    assert {"better", "worse", "median"} == set(kinds)
    monkeypatch.setattr(gallery_module, "MOST_BYTES", 100)
    assert pictures(folder, evidence_of(folder)) is None


def test_a_pool_adds_all_of_an_entry_or_nothing() -> None:
    pool = Pool(limit_bytes=60)
    assert pool.add([("png", b"abc"), ("png", b"abc")]) == ["picture-0", "picture-0"]
    assert pool.used_bytes == len("data:image/png;base64,YWJj")
    assert pool.add([("png", b"de"), ("png", b"fgh"), ("png", b"ijk")]) is None
    assert list(pool.uris) == ["picture-0"]


def test_hostile_names_stay_text(planted: Callable[..., Path]) -> None:
    names = ["</style><script>x</script>", "../../etc", 'a" onload="x', "𝔘"]
    view = gallery(planted({OFF: [[9, 9, 9, 9]], ON: [[3, 4, 5, 6]]}, names))
    assert [entry.image for entry in view.pairs[0].entries] == names
    assert all(set(name) <= set("picture-0123456789") for name in view.pictures)
