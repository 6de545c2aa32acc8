"""Fonts of a document: a configuration of its own, loaded before the job comes where that is possible."""

from __future__ import annotations

from typing import Any

from weasyprint.text.ffi import ffi, fontconfig, gobject, pangoft2
from weasyprint.text.fonts import FontConfiguration

_loaded: list[Any] = []
"""Fontconfig's configuration for the next document of this process, and of each that is forked from it."""


def load() -> None:
    """Load the configuration for the next document; it takes as long as a twentieth of an invoice.

    The font map is not made: it has a thread, with which no process may fork.
    """
    _loaded[:] = [fontconfig.FcInitLoadConfigAndFonts()]


class Fonts(FontConfiguration):  # type: ignore[misc]  # WeasyPrint ships no types
    """The fonts of one document.

    A document adds its own fonts to the configuration, so that none is used twice: a process that was not forked since
    `load` loads another one for its second document.
    """

    def __init__(self) -> None:
        if not _loaded:
            super().__init__()
            return
        # As the inherited method does it, with another configuration; a test compares.
        self._config = _loaded.pop()
        self.font_map = ffi.gc(pangoft2.pango_ft2_font_map_new(), gobject.g_object_unref)
        pangoft2.pango_fc_font_map_set_config(ffi.cast("PangoFcFontMap *", self.font_map), self._config)
        fontconfig.FcConfigDestroy(self._config)
        self._folder = None
        self.strut_layouts: dict[Any, Any] = {}
        self.font_features: dict[Any, Any] = {}
