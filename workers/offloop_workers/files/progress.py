"""Progress in bytes, with the estimated time left."""

from __future__ import annotations

import time

from offloop.kinds.context import Context

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_WARMUP = 1.0  # seconds before an estimate is given; an earlier one would be noise


class ByteProgress:
    """Byte counter that reports progress to the caller.

    Args:
        context: takes the progress.
        total: bytes to read.
    """

    def __init__(self, context: Context, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self.add(0)

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self._done

    def expect(self, more: int) -> None:
        """Raise the total by so many bytes."""
        self._total += more

    def add(self, count: int) -> None:
        """Count bytes that were read; a file that has grown raises the total."""
        self._done += count
        self._total = max(self._total, self._done)
        self._context.progress(self._done, self._total, self._message())

    def _message(self) -> str:
        text = f"{human(self._done)} of {human(self._total)}"
        took = time.monotonic() - self._began
        if took < _WARMUP or not 0 < self._done < self._total:
            return text
        return f"{text}, about {_duration(took / self._done * (self._total - self._done))} left"


def human(count: int) -> str:
    """A number of bytes in decimal units, such as ``1.2 GB``."""
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004 -- decimal units, as disks are sold
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}" if unit else f"{count} bytes"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
