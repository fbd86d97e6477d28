"""The figures of the report: each is a plotly figure with the data that it shows."""
