"""The processes of a run: the worker, the process of its trials, their agreement on a study, signals, scratch."""
