"""A sign of life from work that takes more than two seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 2.0


@contextmanager
def waiting(what: str, show: bool = True) -> Iterator[None]:
    """Say on the standard error stream what is going on, if it goes on for more than two seconds.

    On a terminal the seconds are counted; elsewhere there is one line at two seconds and one at the end.
    """
    done = threading.Event()
    live = sys.stderr.isatty()
    start = time.monotonic()

    def watch() -> None:
        pause = _PATIENCE
        while not done.wait(pause):
            line = f"kernalg: {what} …"
            sys.stderr.write(f"\r{line} {time.monotonic() - start:.0f} s" if live else f"{line}\n")
            sys.stderr.flush()
            pause = 1.0 if live else threading.TIMEOUT_MAX

    watcher = threading.Thread(target=watch, daemon=True)
    if show:
        watcher.start()
    try:
        yield
    finally:
        done.set()
        seconds = time.monotonic() - start
        if show:
            watcher.join()
            if seconds > _PATIENCE:
                print(f"{chr(13) if live else ''}kernalg: {what}: {seconds:.1f} s", file=sys.stderr)
