"""The files that last of a trial besides its record: the state of a training under way, and its last weights."""
