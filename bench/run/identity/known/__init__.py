"""Known values that are written into code: the choices of a component, and the fields of a recipe."""
