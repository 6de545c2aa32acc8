"""``python tests/faults --jobs 20000 --seconds 900 --seed 7``: long fault-injection run."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the folder that contains the package

from faults.driver import main  # noqa: E402 -- importable only after the line above

sys.exit(main())
