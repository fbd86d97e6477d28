"""A run whose results lie in an S3-compatible store: moto's server on this machine, and ``bench`` as a process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.records.results import load
from bench.run.sharing.mirror import Mirror
from tests.run.runner import Runner

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.store]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bucket of a server that lives as long as the test."""
    server = pytest.importorskip("moto.server", reason="needs moto[server]; run nox -s store")
    boto3 = pytest.importorskip("boto3", reason="needs boto3; run nox -s store")
    served = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    served.start()
    host, port = served.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="results")
    yield "s3://results/lab"
    served.stop()


def test_a_run_leaves_its_results_in_a_store_from_which_another_machine_goes_on_and_reports(
    bucket: str, tiny_study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Any
) -> None:
    study = tiny_study()
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "caches"))
    runner = Runner(tmp_path)
    runner.results = bucket  # type: ignore[assignment]  # a place in a store
    try:
        code, out, err = runner.run("run", study, "--shard", "1/2")
        assert (code, err) == (0, ""), out
        shutil.rmtree(tmp_path / "caches" / "stores")  # as on another machine
        code, out, err = runner.run("run", study)
        assert (code, err) == (0, ""), out
        assert "3 of 6 trials done, 3 to run." in out
        shutil.rmtree(tmp_path / "caches" / "stores")
        code, out, err = bench("report", f"{bucket}/tiny")
        assert (code, err) == (0, ""), out
        (tmp_path / "copy").mkdir()
        copy = Mirror(f"{bucket}/tiny", tmp_path / "copy")
        copy.pull(("study.json", "records", "weights", "artifacts", "report", "checkpoints"))
        assert list(load(tmp_path / "copy").frame()["status"]) == ["done"] * 6
        assert len(list((tmp_path / "copy" / "weights").iterdir())) == 4
        assert (tmp_path / "copy" / "report" / "index.html").exists()
        assert not (tmp_path / "copy" / "checkpoints").exists()
    finally:
        runner.end()


def test_a_bucket_that_is_not_there_stops_the_run_with_one_line(
    bucket: str, tiny_study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "caches"))
    runner = Runner(tmp_path)
    runner.results = "s3://nowhere/lab"  # type: ignore[assignment]  # a place in a store
    try:
        code, _, err = runner.run("run", tiny_study())
        assert code == 2
        assert "s3://nowhere/lab/tiny cannot be written to" in err
        assert err.count("\n") == 1, err
    finally:
        runner.end()
