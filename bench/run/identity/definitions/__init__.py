"""The definitions of this project: their modules, and where the names in them lead."""
