"""Decoded images as commands tell of them: announced, made, turned off, shown and removed; results are the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def study(tiny_study: Callable[..., Path], camvid_like: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CAMVID", str(camvid_like))
    path = tiny_study()
    text = path.read_text().replace("bench.data.synthetic import Synthetic", "bench.data.camvid import CamVid")
    scenes = "part(Synthetic, height_px=32, width_px=32, train_images=8, val_images=4, test_images=4)"
    path.write_text(text.replace(scenes, "part(CamVid)"))
    return path


def measured(results: Path) -> dict[str, Any]:
    """The measurements of the one record, without the time that they took and without names of files."""
    (path,) = results.rglob("records/*.json")
    record = json.loads(path.read_text())
    return {
        name: value for name, value in record["measured"].items() if name not in ("train_s", "artifact", "pictures")
    } | {"key": record["key"]}


def test_a_plan_announces_what_is_decoded_and_writes_nothing(bench: Bench, study: Path, tmp_path: Path) -> None:
    cache, results = tmp_path / "cache", tmp_path / "results"
    code, out, _ = bench("plan", study, "--results", results, "--cache", cache)
    assert code == 0
    assert f"32 of 32 images are decoded first, for all trials: about 887 kB in {cache} (--cache chooses" in out
    assert not cache.exists()
    assert not results.exists()
    code, out, _ = bench("plan", study, "--results", results, "--cache", cache, "--no-cache")
    assert (code, "decoded" in out) == (0, False)


def test_a_trial_measures_the_same_with_decoded_images_and_without(bench: Bench, study: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name, options in {"with": ("--cache", cache), "again": ("--cache", cache), "without": ("--no-cache",)}.items():
        code, out, _ = bench("trial", study, "baseline", "--results", tmp_path / name, *options)
        assert code == 0
        assert ("32 of 32 images are decoded first" in out) == (name == "with")
        assert (f"32 images are decoded already, 887 kB in {cache}" in out) == (name == "again")
    assert measured(tmp_path / "with") == measured(tmp_path / "again") == measured(tmp_path / "without")
    assert bench("data", "cache", "--cache", cache)[1] == f"{cache}: 32 decoded images, 887 kB.\n"


def test_a_trial_goes_on_where_no_decoded_images_can_be_kept(bench: Bench, study: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    code, out, _ = bench("trial", study, "baseline", "--results", tmp_path / "results", "--cache", cache)
    assert code == 0
    assert f"No decoded images are kept, so every trial decodes its own: {cache} cannot be written to" in out
    assert measured(tmp_path / "results")["images"] == 8


def test_decoded_images_are_removed_by_data_set_or_altogether(
    bench: Bench, study: Path, camvid_like: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    bench("trial", study, "baseline", "--results", tmp_path / "results")
    code, out, _ = bench("data", "evict", f"camvid={camvid_like}")
    assert (code, out) == (0, f"Removed 32 decoded images, 887 kB, from {cache}.\n")
    assert bench("data", "evict")[1] == f"Removed 0 decoded images, 0 kB, from {cache}.\n"
    monkeypatch.setenv("BENCH_CACHE", "off")
    for command in ("cache", "evict"):
        assert "BENCH_CACHE says off" in bench("data", command)[1]
