"""Coverage run: branch coverage of the three import roots in all processes that the tests start."""
