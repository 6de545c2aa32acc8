"""``python tests/faults --jobs 20000 --seconds 900 --seed 7``: the chaos driver from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the folder of the package, not the package's own

from faults.driver import main  # noqa: E402 -- only importable from here on

sys.exit(main())
