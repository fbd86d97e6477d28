"""The study as it is now beside what earlier runs left: which of their trials stay, and what changed since."""
