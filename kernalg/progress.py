"""What long work shows while it runs: one updating line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

# Seconds that work may take without a word.
_PATIENCE = 2.0

Report = Callable[[int, int, str], None]
"""Called as report(done, total, text): `done` of `total` steps are finished, `text` says what is going on."""


class Display:
    """A `Report` that writes to the standard error stream (or to `stream`)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._done = 0
        self._width = 0

    def __call__(self, done: int, total: int, text: str) -> None:
        finished = done > self._done
        if not finished and not self._live:
            return
        number = done if finished else done + 1
        line = f"[{number}/{total}] {text}"
        if self._live:
            line = line[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + line.ljust(self._width) + ("\n" if finished else ""))
            self._width = 0 if finished else len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
        self._done = done

    def close(self) -> None:
        """End a line that was left open, so that what follows starts on its own."""
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0


class PatientDisplay:
    """A `Report` for a terminal: nothing for two seconds, then one line that is rewritten until the work is done."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._start = time.monotonic()

    def __call__(self, done: int, total: int, text: str) -> None:
        seconds = time.monotonic() - self._start
        if seconds < _PATIENCE:
            return
        finished = done >= total
        line = f"{done}/{total}, {text}: {seconds:.0f} s" + ("" if finished or not done else
                f", about {seconds * (total - done) / done:.0f} s to go")  # fmt: skip
        self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1] + ("\n" if finished else ""))
        self._stream.flush()


class Stopwatch:
    """Numbered steps, each reported and timed.

    Examples
    --------
    >>> watch = Stopwatch(2, lambda done, total, text: print(done, total, text[:5]))
    >>> with watch.step("first"):
    ...     watch.detail("half way")
    0 2 first
    0 2 first
    1 2 first
    >>> list(watch.seconds)
    ['first']
    """

    def __init__(self, total: int, report: Report) -> None:
        self.seconds: dict[str, float] = {}
        self._total = total
        self._report = report
        self._title = ""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        done = len(self.seconds)
        self._title = title
        self._report(done, self._total, f"{title} …")
        start = time.perf_counter()
        yield
        self.seconds[title] = time.perf_counter() - start
        self._report(done + 1, self._total, f"{title}: {self.seconds[title]:.1f} s")

    def detail(self, text: str) -> None:
        """Say more about the step that is running."""
        self._report(len(self.seconds), self._total, f"{self._title}: {text}")


def reporter(progress: Report | bool | None) -> Report:
    """What `progress=` means: True a `Display`, False nothing, a callable itself; None is, on a terminal, a
    `PatientDisplay`, and nothing elsewhere."""
    if callable(progress):
        return progress
    if progress is None and sys.stderr.isatty():
        return PatientDisplay()
    return Display() if progress else lambda done, total, text: None
