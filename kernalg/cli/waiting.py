"""A sign of life from work that takes more than two seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE = 2.0
_RENEW = "\r\x1b[K"  # back to the start of the line, and clear it


@contextmanager
def waiting(what: str, show: bool = True) -> Iterator[Callable[[int, int, str], None]]:
    """Say on the standard error stream what is going on, if it goes on for more than two seconds.

    On a terminal the line is renewed every second; elsewhere there is one line at two seconds and one at the end. What
    is yielded takes (done, total, text), the `progress=` of long work.
    """
    over = threading.Event()
    live = sys.stderr.isatty()
    start = time.monotonic()
    state = ""

    def report(done: int, total: int, text: str) -> None:
        nonlocal state
        state = f" {done}/{total}, {text}"

    def watch() -> None:
        pause = _PATIENCE
        while not over.wait(pause):
            line = f"kernalg: {what}{state} …"
            sys.stderr.write(f"{_RENEW}{line} {time.monotonic() - start:.0f} s" if live else f"{line}\n")
            sys.stderr.flush()
            pause = 1.0 if live else threading.TIMEOUT_MAX

    watcher = threading.Thread(target=watch, daemon=True)
    if show:
        watcher.start()
    try:
        yield report
    finally:
        over.set()
        if show:
            watcher.join()
            seconds = time.monotonic() - start
            if seconds > _PATIENCE:
                print(f"{_RENEW if live else ''}kernalg: {what}: {seconds:.1f} s", file=sys.stderr)
