"""Files that tests read: PDFs, pictures, documents."""
