"""Files that code reads count in the key with their content, however their names are put together."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.run.identity.conftest import Changes, Reader

HEAD = (
    "import glob, gzip, importlib.resources, json, os, sys\nimport numpy\nfrom pathlib import Path\n"
    "HERE = Path(__file__).parent\nclass Mine:\n    def forward(self, x, kind='a'):\n        return squash(x, kind)\n"
)
"""The head of a module whose function ``squash`` reads a file."""

READ = {
    "f-string": "def squash(x, kind):\n    return x * float(open(f'data/{kind}.txt').read())\n",
    "f-string without a suffix": "def squash(x, kind):\n    return x * float(open(f'data/{kind}').read())\n",
    "f-string below the module's folder": "def squash(x, kind):\n"
    "    return x * float((HERE / 'data' / f'{kind}.txt').read_text())\n",
    "name that is computed": "def squash(x, kind):\n    return x * float((HERE / 'data' / kind).read_text())\n",
    "name that is joined": "def squash(x, kind):\n"
    "    return x * float(open(os.path.join(os.path.dirname(__file__), 'data', kind + '.txt')).read())\n",
    "name that is added": "def squash(x, kind):\n    return x * float(open('data/' + kind + '.txt').read())\n",
    "name by format": "def squash(x, kind):\n    return x * float(open('data/{}.txt'.format(kind)).read())\n",
    "name by per cent": "def squash(x, kind):\n    return x * float(open('data/%s.txt' % kind).read())\n",
    "name in a local variable": "def squash(x, kind):\n    path = HERE / 'data' / f'{kind}.txt'\n"
    "    with path.open() as file:\n        return x * float(file.read())\n",
    "name with another suffix": "def squash(x, kind):\n"
    "    return x * float(Path(__file__).with_suffix('.txt').read_text())\n",
    "name beside the module": "def squash(x, kind):\n"
    "    return x * float(Path(__file__).with_name('a.dat').read_text())\n",
    "name with another stem": "def squash(x, kind):\n"
    "    return x * float((HERE / 'data' / 'b.txt').with_stem('a').read_text())\n",
    "glob of files beside the module": "def squash(x, kind):\n"
    "    return x * sum(float(path.read_text()) for path in HERE.glob('data/*.txt'))\n",
    "glob in all folders": "def squash(x, kind):\n"
    "    return x * sum(float(path.read_text()) for path in HERE.rglob('*.txt'))\n",
    "glob by the module glob": "def squash(x, kind):\n"
    "    return x * sum(float(open(path).read()) for path in glob.glob(f'{HERE}/data/*.txt'))\n",
    "list of a folder": "def squash(x, kind):\n"
    "    return x * sum(float((HERE / 'data' / name).read_text()) for name in os.listdir(HERE / 'data'))\n",
    "files of a folder": "def squash(x, kind):\n"
    "    return x * sum(float(path.read_text()) for path in sorted((HERE / 'data').iterdir()))\n",
    "folder that is handed on": "def read(folder, kind):\n    return float((folder / f'{kind}.txt').read_text())\n"
    "def squash(x, kind):\n    return x * read(HERE / 'data', kind)\n",
    "folder that a table holds": "FOLDERS = {'data': HERE / 'data'}\ndef squash(x, kind):\n"
    "    return x * float((FOLDERS['data'] / f'{kind}.txt').read_text())\n",
    "folder that an object keeps": "class Files:\n    def __init__(self):\n        self.folder = HERE / 'data'\n"
    "def squash(x, kind):\n    return x * float((Files().folder / f'{kind}.txt').read_text())\n",
    "folder that a function gives": "def folder():\n    return HERE / 'data'\ndef squash(x, kind):\n"
    "    return x * float((folder() / f'{kind}.txt').read_text())\n",
    "folder of the module that is handed on": "def read(folder):\n    return float((folder / 'a.dat').read_text())\n"
    "def squash(x, kind):\n    return x * read(HERE)\n",
    "compressed file": "def squash(x, kind):\n    return x * float(gzip.open(f'data/{kind}.txt').read())\n",
    "name by a keyword": "def squash(x, kind):\n    return x * float(open(file=f'data/{kind}').read())\n",
    "name of joined texts": "def squash(x, kind):\n    return x * float(open('/'.join(('data', kind))).read())\n",
    "name of texts that a separator joins": "def squash(x, kind):\n"
    "    return x * float(open(os.sep.join(('data', kind))).read())\n",
    "name with another ending": "def squash(x, kind):\n"
    "    return x * float(open(__file__.replace('.py', '.txt')).read())\n",
    "source that is read": "def squash(x, kind):\n    return x * len(open(f'data/{kind}.py').read())\n",
    "folder that is entered": "def squash(x, kind):\n    os.chdir(HERE / 'data')\n"
    "    return x * float(open('a.txt').read())\n",
    "variable that is set anew": "def squash(x, kind):\n    folder = HERE\n    folder = folder / 'data'\n"
    "    return x * float((folder / kind).read_text())\n",
    "array": "def squash(x, kind):\n    return x * numpy.loadtxt(HERE / 'data' / f'{kind}.txt')\n",
    "folder of a package": "def squash(x, kind):\n"
    "    return x * float((importlib.resources.files('pack') / f'{kind}.txt').read_text())\n",
    "file of a package": "def squash(x, kind):\n"
    "    return x * float(importlib.resources.read_text('pack', f'{kind}.txt'))\n",
}  # fmt: skip
"""Way in which ``squash`` finds a file -> its code."""
FILES = {
    "data/a.txt": "1.0", "study.txt": "1.0", "a.dat": "1.0", "data/a": "1.0", "data/a.py": "1.0", "pack/a.txt": "1.0",
    "pack/__init__.py": "",
}  # fmt: skip


@pytest.mark.parametrize("way", READ)
def test_a_file_that_is_read_counts(way: str, changes_key: Changes) -> None:
    assert "1.0" not in HEAD + READ[way]
    assert changes_key({**FILES, "study.py": HEAD + READ[way]})


SINGLE = {
    "name in a table": (
        "NAMES = {'a': 'scale'}\ndef squash(x, kind):\n    return x * float(open(NAMES[kind]).read())\n", "scale"
    ),
    "name in a table, below a folder": (
        "NAMES = {'a': 'deep/scale'}\ndef squash(x, kind):\n"
        "    return x * float((HERE / 'data' / NAMES[kind]).read_text())\n", "data/deep/scale"
    ),
    "name that is an argument": (
        "def read(name):\n    return float(open(name).read())\ndef squash(x, kind):\n    return x * read('scale')\n",
        "scale",
    ),
    "name that a condition chooses": (
        "def squash(x, kind):\n    name = 'scale' if kind else 'other'\n    return x * float(open(name).read())\n",
        "scale",
    ),
    "name that an attribute holds": (
        "class Held:\n    def __init__(self):\n        self.name = 'scale'\n"
        "def squash(x, kind):\n    return x * float(open(Held().name).read())\n", "scale",
    ),
    "path that grows": (
        "def squash(x, kind):\n    path = HERE\n    path /= 'data'\n    path /= 'scale'\n"
        "    return x * float(path.read_text())\n", "data/scale",
    ),
    "path that grows to be handed on": (
        "def read(path):\n    return float(path.read_text())\n"
        "def squash(x, kind):\n    path = HERE / 'data'\n    path /= 'scale'\n    return x * read(path)\n",
        "data/scale",
    ),
    "path that is used before it grows": (
        "def squash(x, kind):\n    path = HERE / 'data'\n    x = x * float((path / 'scale').read_text())\n"
        "    path /= 'other'\n    return x\n", "data/scale",
    ),
    "path that grows in the module": (
        "PATH = str(HERE)\nPATH += '/data'\nPATH += '/scale'\n"
        "def squash(x, kind):\n    return x * float(open(PATH).read())\n", "data/scale",
    ),
    "path that grows in a loop": (
        "def squash(x, kind):\n    path = HERE\n    for step in ('data', 'scale'):\n        path = path / step\n"
        "    return x * float(path.read_text())\n", "data/scale",
    ),
    "text that grows on a condition": (
        "def squash(x, kind):\n    path = 'data/scale'\n    if kind:\n        path += '_big'\n"
        "    return x * float(open(path).read())\n", "data/scale_big",
    ),
    "text that grows by an unknown one": (
        "def squash(x, kind):\n    path = 'data/'\n    path += kind\n    path += '.txt'\n"
        "    return x * float(open(path).read())\n", "data/deep/a.txt",
    ),
    "name that a function sets in the module": (
        "NAME = 'other'\ndef choose(kind):\n    global NAME\n    NAME = 'scale'\n"
        "def squash(x, kind):\n    choose(kind)\n    return x * float(open(NAME).read())\n", "scale",
    ),
    "folder with an annotation": (
        "def squash(x, kind):\n    folder: Path = HERE / 'data'\n"
        "    return x * float((folder / kind).read_text())\n", "data/scale",
    ),
    "folder in a condition of the module": (
        "if MADE := True:\n    FOLDER = HERE / 'data'\n"
        "def squash(x, kind):\n    return x * float((FOLDER / kind).read_text())\n", "data/scale",
    ),
    "source that is executed": (
        "def squash(x, kind):\n    scope = {}\n    exec(open(kind).read(), scope)\n    return x * scope['scale']\n",
        "other.py",
    ),
}  # fmt: skip
"""Way in which ``squash`` finds a file -> its code, and the file."""


@pytest.mark.parametrize("way", SINGLE)
def test_the_file_that_is_read_counts_alone(way: str, changes_key: Changes) -> None:
    code, file = SINGLE[way]
    assert changes_key({"study.py": HEAD + code, file: "SCALE = 1.0"})


OUTSIDE = {
    "text": ("open('{}/scale.txt').read()", "scale.txt"),
    "text without a suffix": ("Path('{}/scale').read_text()", "scale"),
    "weights": ("torch.load('{}/scale.pt')", "scale.pt"),
    "function that is not known": ("missing.read_table('{}/scale.csv')", "scale.csv"),
    "computed name": ("open(f'{}/{{kind}}.txt').read()", "scale.txt"),
    "computed step": ("(Path('{}') / kind / 'scale.txt').read_text()", "deep/er/scale.txt"),
}  # fmt: skip
"""Way in which ``squash`` reads a file of a folder of the machine -> the expression, and the file in the folder."""


@pytest.mark.parametrize("way", OUTSIDE)
def test_a_file_below_tmp_counts_as_any_other_does(way: str, read: Reader) -> None:
    expression, file = OUTSIDE[way]
    digests = []
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        source = HEAD + f"import missing, torch\ndef squash(x, kind):\n    return x * {expression.format(folder)}\n"
        for content in ("1.0", "10.25"):
            path = Path(folder, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            digests.append(read({"study.py": source}).digest)
    assert digests[0] != digests[1]


def test_a_file_of_a_users_own_folder_counts(read: Reader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("Path('~/scale').expanduser()", "os.path.expanduser('~/scale')", "Path.home() / 'scale'"):
        source = HEAD + f"def squash(x, kind):\n    return x * float(open({path}).read())\n"
        (tmp_path / "scale").write_text("1.0")
        before = read({"study.py": source})
        (tmp_path / "scale").write_text("10.25")
        assert before.digest != read({"study.py": source}).digest
        assert not before.notes


@pytest.mark.parametrize("name", ["'weights/scale.txt'", "f'weights/{kind}.txt'"])
def test_a_file_of_the_folder_that_trials_run_in_counts(
    name: str, read: Reader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    source = HEAD + f"def squash(x, kind):\n    return x * float(open({name}).read())\n"
    (tmp_path / "weights").mkdir()
    digests = []
    for content in ("1.0", "10.25"):
        (tmp_path / "weights" / "scale.txt").write_text(content)
        digests.append(read({"study.py": source}).digest)
    assert digests[0] != digests[1]


@pytest.mark.parametrize("path", ["'/proc/self/status'", "'/dev/urandom'", "f'/sys/class/{kind}'"])
def test_a_file_that_the_system_makes_up_is_noted(path: str, read: Reader) -> None:
    source = read({"study.py": HEAD + f"def squash(x, kind):\n    return x * len(open({path}, 'rb').read(1))\n"})
    (note,) = source.notes
    assert note.endswith("of the machine is read; its content does not count")


CERTAIN = ("name with another suffix", "name beside the module", "name with another stem")
"""Ways to find a file that leave no doubt which one it is."""


@pytest.mark.parametrize("way", READ)
def test_a_note_says_where_a_file_is_found_by_a_computed_name(way: str, read: Reader) -> None:
    notes = read({**FILES, "study.py": HEAD + READ[way]}).notes
    assert any("files are found by a computed name" in note for note in notes) == (way not in CERTAIN)
    assert all(note.startswith("study.py:") for note in notes)
    assert way not in CERTAIN or not notes


def test_another_file_counts_only_where_it_fits_the_name(read: Reader) -> None:
    source = HEAD + READ["f-string"]
    before = read({**FILES, "study.py": source}).digest
    assert read({**FILES, "study.py": source, "data/a.csv": "2"}).digest == before
    assert read({**FILES, "study.py": source, "other/a.txt": "2"}).digest == before
    assert read({**FILES, "study.py": source, "data/b.txt": "2"}).digest != before
    renamed = {name: text for name, text in FILES.items() if name != "data/a.txt"}
    assert read({**renamed, "study.py": source, "data/c.txt": "1.0"}).digest != before


UNREAD = {
    "file that is written": "def squash(x, kind):\n    with open('data/a.txt', 'w') as file:\n"
    "        file.write(kind)\n    return x\n",
    "file that a method writes": "def squash(x, kind):\n    (HERE / 'data' / 'a.txt').write_text(kind)\n    return x\n",
    "file that a library writes": "import torch\ndef squash(x, kind):\n    torch.save(x, 'data/a.txt')\n    return x\n",
    "picture that is saved": "def squash(x, kind):\n    kind.save('data/a.txt')\n    return x\n",
    "folder on the path of modules": "sys.path.insert(0, str(HERE))\ndef squash(x, kind):\n    return x\n",
    "folder of another file": "def squash(x, kind):\n    return x * len((HERE / 'pack' / f'{kind}.txt').read_text())\n",
}  # fmt: skip


@pytest.mark.parametrize("way", UNREAD)
def test_a_file_that_is_not_read_does_not_count(way: str, read: Reader) -> None:
    files = {**FILES, "study.py": HEAD + UNREAD[way]}
    assert read(files).digest == read({**files, "data/a.txt": "10.25"}).digest


def test_a_file_that_cannot_be_seen_is_noted(read: Reader) -> None:
    source = HEAD + "def squash(x, kind):\n    return x * float(open(kind).read())\n"
    (note,) = read({"study.py": source}).notes
    assert note.endswith("a file is read whose name cannot be seen; its content does not count")
    (note,) = read({"study.py": source, "scale": "1.0"}).notes
    assert note.endswith("name cannot be seen; those beside this one count by their content, and no others")


def test_results_and_logs_beside_a_module_do_not_count(read: Reader) -> None:
    source = HEAD + "def squash(x, kind):\n    return x * len([*HERE.rglob('*')]) * len((HERE / kind).read_text())\n"
    written = {
        "results/mine/study.json": "{}", "results/mine/records/a.json": "{}", "nohup.out": "1", "study.log": "2",
        "venv/pyvenv.cfg": "", "venv/lib/scale.txt": "3", ".git/HEAD": "4",
    }  # fmt: skip
    plain = read({"study.py": source, "scale.txt": "1.0"})
    assert plain.digest == read({"study.py": source, "scale.txt": "1.0", **written}).digest
    assert plain.digest != read({"study.py": source, "scale.txt": "1.0", "deep/scale.txt": "5"}).digest


def test_many_files_count_by_their_names_and_sizes(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.identity.forms.files.contents.MOST_FILES", 1)
    files = {**FILES, "data/b.txt": "1.0", "study.py": HEAD + READ["f-string"]}
    source = read(files)
    assert source.digest == read({**files, "data/b.txt": "2.0"}).digest
    assert source.digest != read({**files, "data/b.txt": "2.00"}).digest
    assert any("by their names and sizes" in note for note in source.notes)


def test_a_note_says_that_a_folder_has_too_many_files(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.identity.forms.files.search.MOST_SEEN", 2)
    monkeypatch.setattr("bench.run.identity.forms.files.finder.MOST_SEEN", 2)
    files = {f"data/{name}.txt": "1.0" for name in "abc"}
    source = read({**files, "study.py": HEAD + READ["f-string"]})
    assert source.digest == read({**files, "data/c.txt": "2.0", "study.py": HEAD + READ["f-string"]}).digest
    assert source.digest != read({**files, "data/b.txt": "2.0", "study.py": HEAD + READ["f-string"]}).digest
    assert any("but only among the first 2 files there" in note for note in source.notes)
