"""Writes study.py with a byte order mark (bom.py), and in Latin-1 with a line that says so (latin.py)."""

from pathlib import Path

study = Path("study.py").read_text(encoding="utf-8")
Path("bom.py").write_text(study.replace('name="encoded"', 'name="bom"'), encoding="utf-8-sig")
latin = "# -*- coding: latin-1 -*-\n" + study.replace('name="encoded"', 'name="latin"')
Path("latin.py").write_text(latin, encoding="latin-1")
