"""Shipped typefaces, Source Sans 3 and Source Code Pro: pages look the same on every machine.

They are installed through fontconfig, not through ``@font-face``, which would copy each of them in every job. This also
works on a machine without any font, where WeasyPrint ends the process with a segmentation fault.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

FOLDER = Path(__file__).with_name("fonts")


def provide(environment: MutableMapping[str, str] = os.environ) -> None:
    """Point fontconfig at the shipped typefaces, unless the operator has configured another file."""
    environment.setdefault("FONTCONFIG_FILE", str(FOLDER / "fonts.conf"))
