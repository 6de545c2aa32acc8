"""Manifests: the formats of many programs, read and written."""
