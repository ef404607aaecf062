"""Python threads for compiled functions that release the interpreter lock.

Numba's own parallel loops abort the process when two threads enter them under one threading layer, and kill
forked children under another. Serial compiled functions called from Python threads do neither, compile faster,
and give the same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

Share = Callable[[Callable[[int], None], range], None]


@contextmanager
def threads(worthwhile: bool) -> Iterator[Share]:
    """A function `share(work, items)` that calls `work` on every item, in `numba.get_num_threads()` threads.

    Serial when that is 1 or threads are not `worthwhile`.
    """
    import numba

    count = numba.get_num_threads() if worthwhile else 1
    if count == 1:

        def serial(work: Callable[[int], None], items: range) -> None:
            for item in items:
                work(item)

        yield serial
        return
    with ThreadPoolExecutor(count) as pool:

        def shared(work: Callable[[int], None], items: range) -> None:
            for _ in pool.map(work, items):
                pass

        yield shared
