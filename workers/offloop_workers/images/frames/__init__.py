"""Processing of frames: geometry, effects, overlays, redaction."""
