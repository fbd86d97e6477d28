"""The command line. Each module holds a group of commands, and none measures or draws anything itself."""
