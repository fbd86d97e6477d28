"""Seeds added in rounds until comparisons are resolved: when to stop, and what may be said after several looks."""
