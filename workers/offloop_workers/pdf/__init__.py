"""The work of ``offloop.jobs.pdf``."""

from offloop_workers.pdf import typefaces

# Before anything imports WeasyPrint: it asks fontconfig for fonts while it is imported.
typefaces.provide()
