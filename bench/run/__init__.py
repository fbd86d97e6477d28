"""The planning and running of trials: their keys, machines and stages, and their execution with Ray."""
