"""Plain values that everything else agrees on: recipe, timing setting, columns, scores. No torch."""
