"""Rendering: from HTML, Markdown or a template to a PDF."""
