"""Rendering of HTML, Markdown and templates to PDF (render_pdf)."""
