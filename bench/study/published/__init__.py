"""Published numbers that a study can be compared with, as CSV files with their sources."""
