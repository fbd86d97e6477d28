"""How a trial ends: the outcome of an exception, memory that was not enough, attempts before the last, and the log."""
