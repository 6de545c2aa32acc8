"""Source of a document as HTML: Markdown with filtered raw HTML, and templates filled with data."""
