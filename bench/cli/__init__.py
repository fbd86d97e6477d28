"""The command line: one module a group of commands, no measuring and no drawing of its own."""
