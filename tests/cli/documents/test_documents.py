"""The documents of ``--json``: each has a kind, a version and a row in docs/json.md."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from bench.cli import documents
from bench.cli.documents.document import Document, JsonObject

ROOT = Path(__file__).parents[3]
MODULES = [
    importlib.import_module(f"{documents.__name__}.{found.name}") for found in pkgutil.iter_modules(documents.__path__)
]
VALUES = [value for module in MODULES for value in vars(module).values() if isinstance(value, type)]
FORMS = sorted(
    {form for form in VALUES if issubclass(form, JsonObject)} - {JsonObject, Document}, key=lambda form: form.__name__
)


def test_the_page_lists_every_document_with_its_version() -> None:
    page = (ROOT / "docs/json.md").read_text()
    kinds = [form.model_fields for form in FORMS if issubclass(form, Document)]
    assert kinds
    for fields in kinds:
        assert f"| `{fields['document'].default}` {fields['version'].default} |" in page


@pytest.mark.parametrize("form", FORMS)
def test_no_document_takes_a_field_that_its_form_lacks(form: type[JsonObject]) -> None:
    assert form.model_config["extra"] == "forbid"
    assert form.__doc__


def test_a_document_is_ascii_and_no_terminal_acts_on_it() -> None:
    class Small(Document):
        text: str

    text = Small(text="Δ \x1b[31m\x7f\u2028").as_text()
    assert text.isascii()
    assert text.isprintable()
    assert Small.model_validate_json(text).text == "Δ \x1b[31m\x7f\u2028"
