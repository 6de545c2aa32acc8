"""Handlers of the kinds in ``offloop.jobs.pdf`` and ``offloop.jobs.documents``."""

import logging

from offloop_workers.pdf import typefaces

# Before WeasyPrint is imported: its import loads fontconfig's configuration.
typefaces.provide()
# Before pikepdf is imported: its import writes to the log.
logging.getLogger("pikepdf").setLevel(logging.WARNING)
