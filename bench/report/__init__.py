"""Report of a run: its figures, the machine, and a chart."""
