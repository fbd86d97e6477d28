"""The import of a study's file: modules beside it, packages, other studies, encodings, and whatever it raises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.study.factors import StudyError
from bench.study.importing import StudyFolder, import_study, module_names
from bench.study.source import load_study

QUICKSTART = "from studies.quickstart import STUDY as BASE\nSTUDY = BASE.having(name='mine', seeds=(7,))\n"


@pytest.fixture(autouse=True)
def same_imports() -> Iterator[None]:
    """What a test imports, and where from, is forgotten after it."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_module_beside_the_study_is_found_from_any_folder(tmp_path: Path) -> None:
    write(tmp_path / "my_beside.py", "VALUE = 3")
    study = write(
        tmp_path / "any.py", "from my_beside import VALUE\ndef later():\n    import my_beside_too as m; return m"
    )
    write(tmp_path / "my_beside_too.py", "")
    module = import_study(study)
    assert module.VALUE == 3
    assert module.later().__name__ == "my_beside_too"
    assert module.__name__ == "studies.any"


def test_the_folder_of_a_study_comes_last_so_that_a_study_may_be_called_as_a_module_of_python_is(
    tmp_path: Path,
) -> None:
    write(tmp_path / "wave.py", "raise RuntimeError('this is a study')")
    module = import_study(write(tmp_path / "colorsys.py", "import wave\nSTUDY = wave.Error"))
    assert module.STUDY.__name__ == "Error"
    assert sys.path[-1] == str(tmp_path)


@pytest.mark.parametrize(
    "line",
    ["from .helpers_of_it import VALUE", "from . import helpers_of_it as h; VALUE = h.VALUE",
     "from my_package.inner.helpers_of_it import VALUE", "from ..above import VALUE"],
)  # fmt: skip
def test_a_study_in_a_package_imports_as_a_module_of_it(tmp_path: Path, line: str) -> None:
    for folder in ("my_package", "my_package/inner"):
        write(tmp_path / folder / "__init__.py", "")
    write(tmp_path / "my_package/above.py", "VALUE = 3")
    write(tmp_path / "my_package/inner/helpers_of_it.py", "VALUE = 3")
    module = import_study(write(tmp_path / "my_package/inner/a_study.py", line))
    assert module.VALUE == 3
    assert module.__name__ == "my_package.inner.a_study"


def test_a_study_may_build_on_another_whose_file_has_the_same_name(tmp_path: Path) -> None:
    study = load_study(write(tmp_path / "quickstart.py", QUICKSTART))
    assert (study.name, study.seeds) == ("mine", (7,))


def test_a_package_called_studies_of_ones_own_is_imported_in_a_new_process(tmp_path: Path) -> None:
    write(tmp_path / "studies/__init__.py", "")
    write(tmp_path / "studies/shared.py", "VALUE = 3")
    write(tmp_path / "studies/one.py", "from .shared import VALUE\nfrom studies.shared import VALUE as again")
    study = tmp_path / "studies/one.py"
    script = f"from bench.study.importing import *; m = import_study(Path({str(study)!r})); "
    script += "print(m.VALUE, m.again, m.__name__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "3", "studies.one"]


def test_the_modules_beside_a_study_are_its_own_even_after_a_study_of_another_folder(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder / "my_beside.py", f"VALUE = {folder!r}")
        write(tmp_path / folder / "same.py", "from my_beside import VALUE")
    assert [import_study(tmp_path / folder / "same.py").VALUE for folder in ("a", "b", "a")] == ["a", "b", "a"]
    assert [entry for entry in sys.path if isinstance(entry, StudyFolder)] == [str(tmp_path / "a")]


def test_a_study_is_imported_once(tmp_path: Path) -> None:
    study = write(tmp_path / "once.py", "VALUE = object()")
    assert import_study(study).VALUE is import_study(study).VALUE
    assert module_names(study) == ("studies.once",)


@pytest.mark.parametrize(("encoding", "first"), [("utf-8-sig", ""), ("latin-1", "# -*- coding: latin-1 -*-\n")])
def test_a_byte_order_mark_and_a_coding_line_are_read_as_python_reads_them(
    tmp_path: Path, encoding: str, first: str
) -> None:
    study = tmp_path / "encoded.py"
    study.write_text(f"{first}VALUE = 'é'\n", encoding=encoding)
    assert import_study(study).VALUE == "é"


FAULTS = {
    "a line that is no Python": ("x = 1\ny = = 2", r"wrong\.py:2: SyntaxError: invalid syntax$"),
    "a wrong indentation": ("if True:\nx = 1", r"wrong\.py:2: IndentationError: expected an indented block"),
    "a name without a value": ("\n\nprint(nothing_of_this_name)", r"wrong\.py:3: NameError: .*import it, or correct"),
    "a module that is nowhere": ("import no_such_module_here", r"wrong\.py:1: ModuleNotFoundError: .*install it"),
    "a relative import outside of a package": (
        "from .quickstart import STUDY", r"wrong\.py:1: ImportError: .*write 'from module import"
    ),
    "an exception of several lines": ("raise ValueError('a\\nb')", r"wrong\.py:1: ValueError: a b$"),
    "an exception whose text cannot be made": (
        "class E(Exception):\n    def __str__(self): raise OSError\nraise E", r"wrong\.py:3: E: <exception str"
    ),
    "an exception without a text": ("assert False", r"wrong\.py:1: AssertionError$"),
    "the end of the program": ("import sys\nsys.exit(3)", r"wrong\.py:2: SystemExit: 3"),
    "endless recursion": ("def f(): return f()\nf()", r"wrong\.py:1: RecursionError: maximum"),
    "bytes that are no text": ("x = '\udcff'", r"wrong\.py.*SyntaxError"),
    "a zero byte": ("x = 1\0", r"wrong\.py.*SyntaxError: source code"),
    "a misspelt name": (
        "from bench import Factor\nFacotr('x', {})", r"wrong\.py:2: NameError: .* \(did you mean 'Factor'\?\)$"
    ),
    "a misspelt import": (
        "from bench import cahnge", r"wrong\.py:1: ImportError: .* \(did you mean 'change'\?\)$"
    ),
    "a misspelt attribute": ("import math\nmath.sqtr(1)", r"wrong\.py:2: Attr.* \(did you mean 'sqrt'\?\)$"),
    "a misspelt argument": (
        "from bench import Recipe\nRecipe(iteratoins=3)", r"wrong\.py:2: TypeError: .* \(did you mean 'iterations'\?\)$"
    ),
    "a missing argument": ("from bench import Factor\nFactor('x')", r"wrong\.py:2: TypeError: .*argument: 'levels'$"),
    "a local variable without a value": (
        "def f():\n    x += 1\nf()", r"wrong\.py:2: UnboundLocalError: cannot access local variable 'x'[^;]*$"
    ),
    "a mistake in a part": (
        "from bench import part\nfrom bench.network import FCNHead\nfirst = part(\n    FCNHead, widht=8)",
        r"wrong\.py:3: FCNHead has no choice 'widht'.*did you mean 'width'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_a_study_raises_is_one_line_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text, message = FAULTS[name]
    study = tmp_path / "wrong.py"
    study.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="^" + message) as refusal:
        import_study(study)
    assert "\n" not in str(refusal.value)
    assert module_names(study) == ()


def test_the_line_is_that_of_the_module_beside_the_study_if_that_is_wrong(tmp_path: Path) -> None:
    write(tmp_path / "my_beside.py", "\n1 / 0")
    with pytest.raises(StudyError, match=r"my_beside\.py:2: ZeroDivisionError"):
        import_study(write(tmp_path / "right.py", "import my_beside"))


@pytest.mark.parametrize("line", ["from colorsys import VALUE", "import colorsys; colorsys.VALUE"])
def test_a_module_beside_the_study_that_another_of_its_name_hides_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path / "colorsys.py", "VALUE = 3")
    with pytest.raises(StudyError, match=r"colorsys is /.*/colorsys.py here, not .*give yours another name"):
        import_study(write(tmp_path / "hidden.py", line))


def test_a_signal_during_the_import_still_ends_the_process(tmp_path: Path) -> None:
    study = write(tmp_path / "slow.py", "class Stop(SystemExit): ...\nraise Stop(143)")
    with pytest.raises(SystemExit) as leaving:
        import_study(study)
    assert leaving.value.code == 143


@pytest.mark.filterwarnings("default")
def test_warnings_of_a_study_are_shown_unless_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(message: Warning | str, *rest: object) -> None:
        sys.stderr.write(f"{message}\n")

    monkeypatch.setattr("warnings.showwarning", show)
    import_study(write(tmp_path / "right.py", "import warnings\nwarnings.warn('mind the gap')"))
    assert capsys.readouterr().err == "mind the gap\n"
    with pytest.raises(StudyError, match="'int' object is not callable"):
        import_study(write(tmp_path / "wrong.py", "x = 3(4)"))
    assert capsys.readouterr().err == ""


def test_what_a_module_draws_when_it_is_imported_is_the_same_in_every_process(tmp_path: Path) -> None:
    write(tmp_path / "my_table.py", "import numpy as np\nTABLE = np.random.rand()")
    text = "import random, torch\nfrom my_table import TABLE\nDRAWN = [TABLE, random.random(), torch.rand(()).item()]\n"
    study = write(tmp_path / "drawing.py", text)
    code = (
        "import random, sys; from pathlib import Path; import numpy as np, torch\n"
        "from bench.study.importing import import_study\n"
        "random.seed(3), np.random.seed(3), torch.manual_seed(3)\n"
        "print(import_study(Path(sys.argv[1])).DRAWN)"
    )
    other = subprocess.run([sys.executable, "-c", code, study], capture_output=True, text=True, check=True)
    torch.manual_seed(1)
    expected = torch.rand(()).item()
    torch.manual_seed(1)
    assert str(import_study(study).DRAWN) == other.stdout.strip()
    assert torch.rand(()).item() == expected, "draws outside go on as if there had been no import"
