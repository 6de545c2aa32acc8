"""Pages as people see them, for models: the tree of the HTML standard to Markdown or plain text."""
