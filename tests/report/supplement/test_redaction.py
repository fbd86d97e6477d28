"""What leaves the machine: commands that can be run elsewhere, texts without its paths and users' names."""

from __future__ import annotations

import shlex

import pytest

from bench.report.supplement.redaction import Redaction, command


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("bench run studies/quickstart.py", "bench run studies/quickstart.py"),
        ("bench run x.py --data /home/alice/CamVid --size small", 'bench run x.py --data "$DATA" --size small'),
        ("bench run studies/x.py --data=camvid=/data/a", 'bench run studies/x.py --data=camvid="$DATA"'),
        ("bench run x.py --data 'a; touch b;c=/data/a'", "bench run x.py --data 'a; touch b;c'=\"$DATA\""),
        ("bench run studies/x.py --data ../../alice/CamVid", 'bench run studies/x.py --data "$DATA"'),
        ("bench run studies/x.py --data synthetic", "bench run studies/x.py --data synthetic"),
        ("bench run /home/alice/w/studies/x.py --results /home/alice/out", "bench run studies/x.py --results results"),
        ("bench run ~/mine.py --results=/home/alice/out", "bench run mine.py --results=results"),
        ("bench run studies/x.py --address head.alice.net:6379", 'bench run studies/x.py --address "$RAY_ADDRESS"'),
        ("bench run studies/x.py --address auto --cpus 8", "bench run studies/x.py --address auto --cpus 8"),
        ("bench run 'studies/a b.py' --seeds 0,1", "bench run 'studies/a b.py' --seeds 0,1"),
        ("bench run studies/x.py --results s3://alice:pw@host/a", "bench run studies/x.py --results 's3://…@host/a'"),
        ("bench run studies/x.py '; touch gone' '$(id)'", "bench run studies/x.py '; touch gone' '$(id)'"),
    ],
)  # fmt: skip
def test_a_command_keeps_its_meaning_and_loses_its_paths(typed: str, shown: str) -> None:
    made = command(typed)
    assert made.shown == shown
    assert "alice" not in made.shown
    assert len(shlex.split(made.shown)) == len(shlex.split(typed))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("cannot read '/home/alice/CamVid/a.png'", "cannot read '…/a.png'"),
        ("no folder /home/alice", "no folder …"),
        ('File "/usr/lib/python3.11/json/decoder.py", line 3', 'File "…/decoder.py", line 3'),
        ("below ~alice/data and ~/data/x.npz", "below … and …/x.npz"),
        ("at C:\\Users\\alice\\data now", "at … now"),
        ("error:/home/alice/x.py:3", "error:…/x.py:3"),
        ('File "/home/alice b/my proj/x.py", line 3', 'File "…/x.py", line 3'),
        (
            "No such file: '/home/alice b/CamVid/a.png' or 'C:\\Users\\alice b\\a.png'",
            "No such file: '…/a.png' or '…/a.png'",
        ),
        ("file:///home/alice/x.py and //nas/alice/data", "…/x.py and …"),
        ("on \\\\nas\\alice\\data", "on …"),
        ("no '\\\\\\\\nas\\\\alice\\\\my data'", "no '…'"),
        ("no \\\\?\\C:\\Users\\alice", "no …"),
        ("no '~/alice b/data' or \"D:/Users/alice b/x\"", "no '…' or \"…\""),
        ("HTTP 401 at https://alice:pass%20word@host.net/x/y", "HTTP 401 at https://…@host.net/x/y"),
        ("write to a@b.org, see https://github.com/a/b?x=@y", None),
        ("12 images/s, 1/8, and/or ~5 points, https://github.com/a/b, bench/data/base.py", None),
        ("a / b, x=/y, aten::add, ✓/✗", None),
    ],
)
def test_absolute_paths_are_shortened_and_nothing_else(text: str, cleaned: str | None) -> None:
    redaction = Redaction()
    assert redaction.text(text, "file") == (text if cleaned is None else cleaned)
    assert redaction.counts.get("file", 0) == (0 if cleaned is None else cleaned.count("…"))


def test_a_known_path_keeps_its_meaning_where_it_stands_whole() -> None:
    known = command("bench run studies/x.py --data /data").known
    redaction = Redaction(known)
    assert redaction.text("/data/train.txt, /database, bench/data/base.py", "f") == (
        "$DATA/train.txt, /database, bench/data/base.py"
    )
    assert redaction.counts == {"f": 1}


@pytest.mark.parametrize("folder", [".", "..", "/", "~"])
def test_a_folder_that_would_be_found_everywhere_is_replaced_in_the_command_alone(folder: str) -> None:
    made = command(f"bench run studies/x.py --data {folder}")
    assert made.shown == 'bench run studies/x.py --data "$DATA"' or folder == "/"
    assert made.known == {}


def test_nested_data_is_cleaned_everywhere() -> None:
    redaction = Redaction()
    nested = {"/home/alice/k": ["/home/alice/v.txt", 3, None, {"x": "/home/alice/w"}]}
    assert redaction.tree(nested, "f") == {"…": ["…/v.txt", 3, None, {"x": "…"}]}
    assert redaction.counts == {"f": 3}
