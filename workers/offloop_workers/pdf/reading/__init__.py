"""Reading PDFs of unknown origin."""
