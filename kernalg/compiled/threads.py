"""Python threads for compiled functions that release the interpreter lock.

Numba's own parallel loops abort the process when two threads enter them under one threading layer, and kill
forked children under another. Serial compiled functions called from Python threads do neither, compile faster,
and give the same bits for any number of threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

Share = Callable[[Callable[[int], None], range], None]
Item = TypeVar("Item")
Result = TypeVar("Result")


def serial(work: Callable[[int], None], items: range) -> None:
    """The `Share` of one thread."""
    for item in items:
        work(item)


@contextmanager
def threads(worthwhile: bool) -> Iterator[Share]:
    """A function `share(work, items)` that calls `work` on every item, in `numba.get_num_threads()` threads.

    Serial when that is 1 or threads are not `worthwhile`.
    """
    import numba

    count = numba.get_num_threads() if worthwhile else 1
    if count == 1:
        yield serial
        return
    with ThreadPoolExecutor(count) as pool:

        def shared(work: Callable[[int], None], items: range) -> None:
            for _ in pool.map(work, items):
                pass

        yield shared


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """`work` of every item, computed in `numba.get_num_threads()` threads, in the order of the items.

    Few results wait at a time, however many items there are. For work made of BLAS products: BLAS runs in one thread
    meanwhile, since the threads of two such libraries on the same cores wait for one another.
    """
    import numba

    count = numba.get_num_threads()
    with serial_blas():
        if count == 1:
            yield from map(work, items)
            return
        pool = ThreadPoolExecutor(count)
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@cache
def _threadpools() -> Any:
    """The libraries with threads of their own; to find them takes milliseconds."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError:
        return None
    import scipy.linalg.blas  # noqa: F401  a second BLAS, to be found too

    return ThreadpoolController()


# The number of BLAS threads is one for the process, and threadpoolctl lets one Python thread at a time change it. So
# the work of one caller at a time runs under the limit; it uses all cores anyway.
_blas_lock = threading.RLock()


def _renew_lock() -> None:
    """In a forked child: the thread that held the lock stayed behind."""
    global _blas_lock
    _blas_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def serial_blas() -> Iterator[None]:
    """One thread for BLAS in this process: for products in threads of ours, and for many small ones.

    Without threadpoolctl BLAS keeps its threads: slower, and OpenBLAS rounds some shapes differently.
    """
    controller = _threadpools()
    if controller is None:
        yield
        return
    with _blas_lock, controller.limit(limits=1, user_api="blas"):
        yield
