"""Picture files: guarded opening, formats, colours, metadata, encoding."""
