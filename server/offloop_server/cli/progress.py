"""Progress bar on standard error, fed by MCP progress notifications; disabled without a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from offloop.cli.terminal import console


class Bar:
    """One bar for successive jobs: a context manager, and the progress callback of a call."""

    def __init__(self) -> None:
        terminal = console()
        self._progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}"),
            console=terminal,
            disable=not terminal.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, words="", start=False, visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, name: str) -> None:
        """Reset the bar for another job."""
        self._progress.reset(self._task, description=name, total=None, words="", visible=True)

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Show the job's progress."""
        self._progress.update(self._task, completed=progress, total=total, words=message or "")
