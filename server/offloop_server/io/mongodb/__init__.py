"""Read-only MongoDB tool: find, and aggregations of stages that read."""
