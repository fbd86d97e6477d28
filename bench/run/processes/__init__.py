"""The processes of a run: the worker, the process that its trials run in, signals, and the scratch folder."""
