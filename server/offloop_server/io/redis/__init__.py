"""Read-only Redis tool: commands that read, on keys under the prefixes that the operator allows."""
