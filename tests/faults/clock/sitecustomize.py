"""Clock skew: shifts the wall clock of the Python process by ``FAULTS_CLOCK_SKEW`` seconds.

Affects `time.time` and `time.time_ns` only: not `datetime.now`, not C libraries, and not the monotonic clock.
"""

from __future__ import annotations

import os
import time

_skew = float(os.environ.get("FAULTS_CLOCK_SKEW", "0"))
if _skew:
    _seconds, _nanoseconds = time.time, time.time_ns
    time.time = lambda: _seconds() + _skew
    time.time_ns = lambda: _nanoseconds() + int(_skew * 1e9)
