"""The steps of edit_pdf, and what they are made of."""
