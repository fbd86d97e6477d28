"""The digest of a split's content: equal exactly where the same images and labels are scored."""

from __future__ import annotations

from bench.data.content import content_digest
from bench.data.synthetic import Synthetic


def digest(**choices: int) -> str:
    return content_digest(Synthetic(None, **{"height_px": 32, "width_px": 32, "val_images": 2, **choices}).split("val"))


def test_the_content_of_a_split_is_what_is_evaluated_and_nothing_else() -> None:
    assert digest() == digest(train_images=7)
    assert len({digest(), digest(val_images=3), digest(seed=1), digest(height_px=40)}) == 4
