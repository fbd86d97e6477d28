"""A street-like label map and a prediction of it, drawn by rule: 1024x2048, 19 classes, the same on every machine.

Sky, pavement and road lie in bands with wavy borders; 14 houses, 4 walls and fences and 25 trees stand at the horizon,
in front of them 14 poles of 6 to 14 px with a sign each, 20 vehicles of 5 classes, and 24 persons and riders, up to
60 px wide; void are 90 rows of bonnet and a frame of 4 px. The prediction is that map with every pixel taken from up to
6 px away in either direction, by a smooth displacement, and 12 regions painted over it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bench.data.base import IGNORE

HEIGHT, WIDTH, CLASSES = 1024, 2048, 19
ROAD, PAVEMENT, BUILDING, TREE, SKY = 0, 1, 2, 8, 10
POLE, SIGNS, PERSONS, VEHICLES = 5, (6, 7), (11, 12), (13, 14, 15, 17, 18)
WALLS = (3, 4, 9, 16)

Map = npt.NDArray[np.uint8]


def street() -> tuple[Map, Map]:
    """The prediction and the label, ``H W`` uint8."""
    label = _objects(_ground(np.random.default_rng(0)), np.random.default_rng(1))
    generator = np.random.default_rng(2)
    shifts = [ndimage.zoom(generator.uniform(-6, 6, (17, 33)), (HEIGHT / 17, WIDTH / 33), order=1) for _ in range(2)]
    rows, columns = np.indices(label.shape)
    moved = (
        (rows + np.rint(shifts[0])).astype(int).clip(0, HEIGHT - 1),
        ((columns + np.rint(shifts[1])).astype(int).clip(0, WIDTH - 1)),
    )
    prediction = label[moved]
    for value in (ROAD, SKY, PAVEMENT, *VEHICLES[:3]) * 2:
        _ellipse(prediction, generator, value, (350, 900), (15, 60), (15, 60))
    label[-90:] = label[:4] = label[-4:] = label[:, :4] = label[:, -4:] = IGNORE
    return prediction, label


def _ground(generator: np.random.Generator) -> Map:
    label = np.full((HEIGHT, WIDTH), SKY, dtype=np.uint8)
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    for _ in range(14):
        left, width, top = generator.integers((0, 80, 80), (WIDTH, 400, 420))
        label[top:600, left : left + width] = BUILDING
    for value in WALLS:
        left, width = generator.integers((0, 100), (WIDTH, 500))
        label[470:620, left : left + width] = value
    label[y > 560 + 12 * np.sin(x / 90) + 4 * np.sin(x / 13)] = PAVEMENT
    label[y > 620 + np.abs(x - WIDTH / 2) / 4 + 8 * np.sin(x / 40)] = ROAD
    return label


def _objects(label: Map, generator: np.random.Generator) -> Map:
    for _ in range(25):
        _ellipse(label, generator, TREE, (250, 500), (20, 120), (20, 120))
    for _ in range(14):
        left, width, top = generator.integers((0, 6, 150), (WIDTH, 15, 400))
        label[top:700, left : left + width] = POLE
        label[top : top + 40, left - 20 : left + 30] = generator.choice(SIGNS)
    for _ in range(20):
        _ellipse(label, generator, int(generator.choice(VEHICLES)), (600, 800), (20, 90), (30, 160))
    for _ in range(24):
        _ellipse(label, generator, int(generator.choice(PERSONS)), (560, 750), (30, 110), (8, 30))
    return label


def _ellipse(
    label: Map,
    generator: np.random.Generator,
    value: int,
    rows: tuple[int, int],
    half_height: tuple[int, int],
    half_width: tuple[int, int],
) -> None:
    """Draw one object at a random place, of random size and with a ragged outline."""
    centre_y, centre_x = int(generator.integers(*rows)), int(generator.integers(0, WIDTH))
    tall, wide = int(generator.integers(*half_height)), int(generator.integers(*half_width))
    around = np.s_[max(0, centre_y - 2 * tall) : centre_y + 2 * tall, max(0, centre_x - 2 * wide) : centre_x + 2 * wide]
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    y, x = (y[around[0]] - centre_y) / tall, (x[:, around[1]] - centre_x) / wide
    angle = np.arctan2(y, x)
    ragged = 1 + 0.12 * np.sin(7 * angle) + 0.05 * np.sin(23 * angle)
    label[around][y * y + x * x < ragged] = value
