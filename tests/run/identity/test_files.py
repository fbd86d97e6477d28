"""Files that code reads count in the key with their content, however their names are put together."""

from __future__ import annotations

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
    "folder on the path of modules": "sys.path.insert(0, str(HERE))\ndef squash(x, kind):\n    return x\n",
    "folder of another file": "def squash(x, kind):\n    return x * len((HERE / 'pack' / f'{kind}.txt').read_text())\n",
}  # fmt: skip


@pytest.mark.parametrize("way", UNREAD)
def test_a_file_that_is_not_read_does_not_count(way: str, read: Reader) -> None:
    files = {**FILES, "study.py": HEAD + UNREAD[way]}
    assert read(files).digest == read({**files, "data/a.txt": "10.25"}).digest


def test_a_file_that_cannot_be_seen_is_noted(read: Reader) -> None:
    (note,) = read({"study.py": HEAD + "def squash(x, kind):\n    return x * float(open(kind).read())\n"}).notes
    assert note.endswith("a file is read whose name cannot be seen; its content does not count")


def test_many_files_count_by_their_names_and_sizes(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.identity.forms.files.MOST_FILES", 1)
    files = {**FILES, "data/b.txt": "1.0", "study.py": HEAD + READ["f-string"]}
    source = read(files)
    assert source.digest == read({**files, "data/b.txt": "2.0"}).digest
    assert source.digest != read({**files, "data/b.txt": "2.00"}).digest
    assert any("by their names and sizes" in note for note in source.notes)
