"""Writes a copy of study.py for each thing that a data set of one's own may get wrong: the line, and the wrong one."""

from pathlib import Path

WRONG = {
    "int64": ("torch.from_numpy(label)", "torch.from_numpy(label).long()"),
    "row": ("torch.from_numpy(label)", "torch.from_numpy(label)[:-1]"),
    "path": ('f"{name}{index}"', 'Path(f"/d/{name}{index}.png")'),
    "emptyval": ("range(4)", 'range(0 if name == "val" else 4)'),
    "real": ("torch.from_numpy(image)", "torch.from_numpy(image) / 255"),
    "twins": ('f"{name}{index}"', "name"),
    "classes": ('("a", "b", "c")', '("a", "b", "a")'),
    "values": ("torch.from_numpy(label)", "torch.from_numpy(label) + 7"),
    "method": ("def fingerprint(", "def finger_print("),
}

study = Path("study.py").read_text()
for name, (right, wrong) in WRONG.items():
    assert right in study, right
    Path(f"{name}.py").write_text(study.replace(right, wrong).replace('name="right"', f'name="{name}"'))
