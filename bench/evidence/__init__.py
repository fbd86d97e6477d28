"""The conclusions that records allow, as numbers and without torch: statistics, effects, speed-ups, confounds."""
