"""The schedule of a study: its trials with their keys, how it is made, and the plan of it that ``study.json`` holds."""
