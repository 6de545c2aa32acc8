"""Job modules that tests load."""
