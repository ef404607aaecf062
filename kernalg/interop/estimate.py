"""Progress of a job of equal parts, with the time that remains."""

from __future__ import annotations

import time

from kernalg.progress import Report, reporter

_STEPS = 10


class Estimate:
    """Call it after every part; found parts cost nothing and do not count for the speed.

    A callback is told about every part. The display of `progress=True` counts tenths: one line each, which changes
    with every part on a terminal.
    """

    def __init__(self, what: str, total: int, progress: Report | bool | None) -> None:
        self._what = what
        self._total = total
        self._steps = total if callable(progress) else min(_STEPS, total)
        self._report = reporter(progress)
        self._found = 0
        self._made = 0
        self._start = time.perf_counter()

    def __call__(self, found: bool) -> None:
        now = time.perf_counter()
        if found:
            self._found += 1
        else:
            self._made += 1
        if not self._made:  # what follows is slower than looking at what is there
            self._start = now
        done = self._found + self._made
        if done == self._total:
            rest = f"{self._found} found, {self._made} made in {_duration(now - self._start)}"
        elif self._made:
            rest = f"about {_duration((now - self._start) / self._made * (self._total - done))} left"
        else:
            rest = f"{self._found} found"
        self._report(done * self._steps // self._total, self._steps, f"{self._what}: {done} of {self._total}, {rest}")


def _duration(seconds: float) -> str:
    """
    >>> [_duration(s) for s in (0.3, 59, 150, 9000)]
    ['0.3 s', '59 s', '2.5 min', '2.5 h']
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
