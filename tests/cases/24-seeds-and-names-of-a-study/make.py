"""Writes a copy of study.py for each name and each tuple of seeds that no study can have."""

from pathlib import Path

NAMES = {
    "up": '"../escaped"',
    "root": repr(str(Path("absolute").resolve())),
    "none": '""',
    "nul": r'"a\0b"',
    "int": "3",
    "dot": '"."',
    "slash": '"a/b"',
    "backslash": r'"a\\b"',
    "line": r'"a\nb"',
}
SEEDS = {
    "numpy": "tuple(__import__('numpy').arange(2))",
    "array": "__import__('numpy').arange(2)",
    "number": "3",
    "text": '("0",)',
    "real": "(0.0, 1.0)",
    "large": "(2**63,)",
    "minus": "(-1,)",
    "truth": "(True,)",
    "twice": "(0, 0)",
    "none": "()",
}

study = Path("study.py").read_text()
for name, value in NAMES.items():
    Path(f"name_{name}.py").write_text(study.replace('name="plain"', f"name={value}"))
for name, value in SEEDS.items():
    Path(f"seeds_{name}.py").write_text(study.replace("seeds=(0,)", f"seeds={value}"))
