"""Prints the losses of every record below a results folder: python losses.py FOLDER"""

import json
import sys
from pathlib import Path

for path in sorted(Path(sys.argv[1]).rglob("records/*.json")):
    print(path.name, json.loads(path.read_text())["measured"]["history"]["loss"])
