"""The processes of a trial: its own, a :mod:`~.child` of the worker, and :mod:`~.helpers` of its training."""
