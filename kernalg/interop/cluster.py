"""Work for the workers of a `distributed` cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from kernalg.interop.blocks import Rows, extra, one_thread


def scatter(client: Any, rows: Rows) -> list[Any]:
    """The blocks of rows in the memory of the workers."""
    return [client.scatter(rows.block(i)) for i in range(rows.count)]


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """work(*arguments) in one thread: the cluster runs as many blocks side by side as it has threads."""
    with one_thread():
        return work(*arguments)


def results(client: Any, submit: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """The results of `submit(item)`, a future, as they come; a few items for each thread are under way."""
    waiting = iter(items)
    window = 4 * max(1, sum(client.nthreads().values()))
    running = extra("distributed").as_completed([submit(item) for item in islice(waiting, window)])
    for future in running:
        yield future.result()
        for item in islice(waiting, 1):
            running.add(submit(item))
