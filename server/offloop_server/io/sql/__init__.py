"""Read-only SQL tools: named connections, one driver for each database product, the same caps for all."""
