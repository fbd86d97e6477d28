"""The JSON documents that commands print with ``--json``: a typed form for each, which docs/json.md lists."""
