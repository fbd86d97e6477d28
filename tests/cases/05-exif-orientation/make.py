"""Makes the data set of this case: the first image is stored turned, with the EXIF tag that says so.

python make.py 180 (or 90)
"""

import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from small_camvid import make

ORIENTATION = 0x0112
angle = int(sys.argv[1])
path = make("data") / "images/train/f000.jpg"
upright = Image.open(path)
upright.save("upright.png")
exif = Image.Exif()
exif[ORIENTATION] = {180: 3, 90: 6}[angle]
upright.rotate(angle, expand=True).save(path, exif=exif, quality=100, subsampling=0)
