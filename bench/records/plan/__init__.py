"""The plan of a study, ``study.json``, typed: its question and trials, data, networks as built, tuning and rounds."""
