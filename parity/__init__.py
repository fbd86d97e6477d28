"""Our components against the outputs of the original implementations, case by case."""
