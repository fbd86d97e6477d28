"""The page: sections, findings and methods around tables and figures, as one HTML file."""
