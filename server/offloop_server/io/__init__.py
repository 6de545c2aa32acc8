"""Tools that wait for others instead of working: HTTP and SQL. Nothing here may block the event loop."""
