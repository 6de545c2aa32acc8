"""Artifacts: storage, quotas and signed links."""
