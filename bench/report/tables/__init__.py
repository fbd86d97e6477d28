"""Tables of the report, and the formats that they are written in."""
