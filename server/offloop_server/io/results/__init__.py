"""Rows of a source as a caller gets them: capped, rendered as JSON, exported as text, or saved as a file."""
