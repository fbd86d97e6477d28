"""Writes studies/: a copy of study.py for each kind of choice: what it needs, its annotation and default, its value.

Some of the copies are called as modules of the standard library are, as studies may be.
"""

from pathlib import Path

CHOICES = {
    "callable_typed": (
        "from collections.abc import Callable",
        "act: Callable[..., nn.Module] = nn.ReLU",
        "act=nn.GELU",
    ),
    "class_typed": ("", "act: type[nn.Module] = nn.ReLU", "act=nn.GELU"),
    "class_untyped": ("", "act=nn.ReLU", "act=nn.GELU"),
    "dataclass": (
        "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Cfg:\n    a: int = 1",
        "cfg: Cfg = Cfg()",
        "cfg=Cfg(2)",
    ),
    "dtype": ("import torch", "dtype: torch.dtype = torch.float32", "dtype=torch.float16"),
    "enum": ("import enum\n\nclass Kind(enum.Enum):\n    A = 1\n    B = 2", "kind: Kind = Kind.A", "kind=Kind.B"),
    "infinity": ("", "w=0.0", "w=float('inf')"),
    "lambda": ("", "act=lambda x: x", "act=lambda x: 2 * x"),
    "list_typed": ("", "rates: list[int] = [1, 2]", "rates=[1, 3]"),
    "numpy_float32": ("import numpy as np", "slope=0.1", "slope=np.float32(0.2)"),
    "path": ("from pathlib import Path", "weights: Path = Path('w.pth')", "weights=Path('v.pth')"),
    "sequence_typed": ("from collections.abc import Sequence", "rates: Sequence[int] = (1, 2)", "rates=(1, 3)"),
}

Path("studies").mkdir()
study = Path("study.py").read_text()
for name, (needed, declared, given) in CHOICES.items():
    changed = study.replace("class Mine(", f"{needed}\n\n\nclass Mine(")
    changed = changed.replace("slope=0.1", declared).replace("slope=0.2", given)
    Path(f"studies/{name}.py").write_text(changed.replace('name="plain"', f'name="{name}"'))
