"""The command line of offloop with a shorter term for connections: silent ones count as dead after 2 s instead of 5.

It is run as a script: ``python impatient.py worker``.
"""

from __future__ import annotations

from typing import Final

from offloop.cli import main
from offloop.redis import multiplexer, subscriber

SILENT_SECONDS: Final = 2.0

if __name__ == "__main__":
    for module in (multiplexer, subscriber):
        vars(module)["SILENT_SECONDS"] = SILENT_SECONDS
    main()
