"""How a trial goes and ends: its progress and log, the outcome of an exception, memory, attempts before the last."""
