"""Figures of the report, each a plotly figure with the data that it shows."""
