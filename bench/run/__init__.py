"""Planning and running of trials: keys, machines, stages, and their execution with Ray."""
