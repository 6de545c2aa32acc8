"""Work of the kinds in ``offloop.jobs.search``."""
