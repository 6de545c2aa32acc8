"""Ticks: they come while the main thread computes, and leave the process's timer as it was."""

from __future__ import annotations

import signal
import threading
import time

from offloop_workers.pdf.rendering.layout.ticks import every


def spin(until: threading.Event, seconds: float = 20) -> None:
    """Compute until the event, or for so long."""
    end = time.monotonic() + seconds
    while not until.is_set() and time.monotonic() < end:
        pass


def test_ticks_come_again_and_again_while_the_thread_computes() -> None:
    ticks: list[float] = []
    thrice = threading.Event()

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 3:
            thrice.set()

    before = signal.getsignal(signal.SIGALRM)
    with every(0.01, tick) as is_ticking:
        assert is_ticking
        spin(thrice)
    assert thrice.is_set()
    assert signal.getsignal(signal.SIGALRM) is before


def test_an_alarm_of_another_rings_afterwards() -> None:
    rung = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: rung.set())
    kept = signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        ticked = threading.Event()
        with every(0.01, ticked.set):
            spin(ticked)
            time.sleep(0.1)
            assert not rung.is_set()
        spin(rung)
        assert rung.is_set()
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *kept)


def test_in_another_thread_there_are_none() -> None:
    found: list[bool] = []

    def work() -> None:
        with every(0.01, lambda: None) as is_ticking:
            found.append(is_ticking)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
