"""Makes the data set of this case: all images are grey PNG files of 16 bit, over the full range."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from small_camvid import make

for path in list(make("data").glob("images/*/*.jpg")):
    grey = np.array(Image.open(path).convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(path.with_suffix(".png"))
    path.unlink()
