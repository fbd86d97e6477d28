"""Names that become names of files: one form for a study's own file and for the plan that a results folder holds."""

from __future__ import annotations

LONGEST_NAME = 100
"""The most bytes of the name of a study, a factor or a level: such names stand in names of files and in every table."""
FILE_NAME = (
    "a text that can name a folder: printable, without '/' and '\\', not beginning with '.' or a space, of "
    f"{LONGEST_NAME} bytes at most"
)
"""The form in words."""


def is_short(name: str) -> bool:
    """``True`` if a name has :data:`LONGEST_NAME` bytes at most; a letter beyond ASCII takes two to four."""
    return len(name.encode()) <= LONGEST_NAME


def is_file_name(name: str) -> bool:
    """``True`` if a name has the form :data:`FILE_NAME`, so that a folder can have it on every system."""
    return can_name_file(name) and is_short(name)


def can_name_file(name: str) -> bool:
    """``True`` if a name, of whatever length, names a file in the folder in which it is used and not elsewhere."""
    return (
        bool(name)
        and name.isprintable()
        and not set(name) & set("/\\")
        and not name.startswith(".")
        and name == name.strip()
    )
