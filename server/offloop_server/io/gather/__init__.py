"""Several sources in one call."""
