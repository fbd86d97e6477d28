"""Says how the first image that a data set gives stands."""

from pathlib import Path

import numpy as np
from PIL import Image

from bench.data import CamVid
from bench.parts import BenchError

try:
    given = CamVid(Path("data")).split("train")[0].image.permute(1, 2, 0).numpy().astype(int)
except BenchError as error:
    raise SystemExit(f"refused: {error}") from None
upright = np.array(Image.open("upright.png")).astype(int)
same_way = given.shape == upright.shape and abs(given - upright).mean() < 2
print("upright" if same_way else "turned")
