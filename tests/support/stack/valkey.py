"""Valkey of a stack: it can be killed, frozen and restarted on the same data."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from offloop.processes.embedded_redis import find_binary
from support.processes import STACK, Process
from support.waiting import until


class Valkey:
    """A server on a Unix socket in `folder`, whose path must be short; `persistent` keeps an append-only file."""

    def __init__(self, folder: Path, *, mark: str, persistent: bool, fsync: str = "always") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._mark = mark
        self._persistent = persistent
        self._fsync = fsync
        self._process: Process | None = None
        self.socket = folder / "r.sock"
        self.url = f"unix://{self.socket}"

    def start(self) -> None:
        """Start it and wait until it has loaded its data and answers."""
        self.begin()
        until(self.answers, "the Valkey answers")

    def begin(self) -> None:
        """Start it without waiting."""
        command = [
            *(str(find_binary()), "--port", "0", "--unixsocket", str(self.socket), "--save", ""),
            *("--appendonly", "yes" if self._persistent else "no", "--appendfsync", self._fsync),
            *("--maxmemory-policy", "noeviction", "--dir", str(self._folder), "--loglevel", "warning"),
        ]
        environment = {**os.environ, STACK: self._mark}
        self._process = Process("valkey", command, environment, self._folder / "valkey.log")

    def answers(self) -> bool:
        """Whether it answers.

        Raises:
            AssertionError: it has ended.
        """
        assert self._the_process.running, self._the_process.output[-2000:]
        try:
            with self.redis() as redis:
                return bool(redis.ping())
        except (OSError, RedisError):
            return False

    def stop(self) -> None:
        """Stop it. Idempotent."""
        if self._process and self._process.running:
            self._process.signal(signal.SIGCONT)
            self._process.stop()

    def kill(self) -> None:
        """Send SIGKILL; `start` restarts it on the same data."""
        self._the_process.kill()

    def freeze(self) -> None:
        """Stop it with SIGSTOP: connections stay open and get no answer."""
        self._the_process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        self._the_process.signal(signal.SIGCONT)

    def redis(self) -> Redis:
        """A connection; use it as a context manager."""
        return Redis.from_url(self.url, socket_timeout=5)

    @property
    def _the_process(self) -> Process:
        if self._process is None:
            message = "start the Valkey first"
            raise RuntimeError(message)
        return self._process
