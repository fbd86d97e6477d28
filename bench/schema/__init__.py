"""What a record and ``study.json`` hold, as types, so that a damaged file is refused where it is read."""
