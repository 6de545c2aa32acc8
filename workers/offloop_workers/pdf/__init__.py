"""The work of ``offloop.jobs.pdf``."""

import logging

from offloop_workers.pdf import typefaces

# Before anything imports WeasyPrint: it asks fontconfig for fonts while it is imported.
typefaces.provide()
# Before anything imports pikepdf: it tells its log that it has one.
logging.getLogger("pikepdf").setLevel(logging.WARNING)
