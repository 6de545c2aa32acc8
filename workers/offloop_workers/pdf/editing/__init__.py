"""Steps of edit_pdf: documents, pages, stamps, structure."""
