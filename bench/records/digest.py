"""The digest that a JSON file carries of its own content, so that a number that was edited afterwards is seen.

It is no signature: it shows an accident or a hasty hand, and whoever writes a file can give it a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bench.records.files import json_text

_MARK = b',\n "digest": "'
"""The bytes between a content and its digest: the digest is the last entry of the file's object."""


def with_digest(data: Mapping[str, Any]) -> str:
    """JSON text of an object, with the digest of its other entries as its last one.

    Raises:
        ValueError: for NaN and infinity.
    """
    text = json_text({name: value for name, value in data.items() if name != "digest"}).encode()
    return (text.removesuffix(b"\n}\n") + _MARK + _digest(text) + b'"\n}\n').decode()


def without_digest(content: bytes) -> bytes | None:
    """The content without its digest, if both are byte for byte as :func:`with_digest` wrote them; ``None`` if not."""
    start, mark, rest = content.rpartition(_MARK)
    text = start + b"\n}\n"
    return text if mark and rest == _digest(text) + b'"\n}\n' else None


def is_digest(value: object, data: Mapping[str, Any]) -> bool:
    """``True`` if a value is the digest of an object, whatever the spaces and line breaks of the file it came from."""
    return value == _digest(json_text(data).encode()).decode()


def file_digest(content: bytes) -> str:
    """The digest of another file's bytes, as a record keeps it of the arrays beside it."""
    return hashlib.sha256(content).hexdigest()


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
