"""Prints the losses of each record of the cell head=mine below a results folder: python losses.py FOLDER"""

import json
import sys
from pathlib import Path

for path in sorted(Path(sys.argv[1]).rglob("records/*.json")):
    record = json.loads(path.read_text())
    if record["trial"]["variant"] == "head=mine":
        print(record["measured"]["history"]["loss"])
