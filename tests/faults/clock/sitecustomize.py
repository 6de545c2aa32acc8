"""On the path of one worker of a cluster: its wall clock is off by as many seconds as ``FAULTS_CLOCK_SKEW`` says.

Only what Python code reads through `time.time` and `time.time_ns` is off: not `datetime.now`, not C libraries, and
not the monotonic clock.
"""

from __future__ import annotations

import os
import time

_skew = float(os.environ.get("FAULTS_CLOCK_SKEW", "0"))
if _skew:
    _seconds, _nanoseconds = time.time, time.time_ns
    time.time = lambda: _seconds() + _skew
    time.time_ns = lambda: _nanoseconds() + int(_skew * 1e9)
