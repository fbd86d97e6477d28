"""The work of the commands about the trials of a study: a module for each command, and what these share."""
