"""Work for the workers of a `distributed` cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any

from kernalg.errors import KernalgError
from kernalg.interop.blocks import BlockKernel, Rows, extra, one_thread

Submit = Callable[[Any], Any]


def scatter(client: Any, entries: BlockKernel, left: Rows, right: Rows) -> tuple[Any, list[Any], list[Any]]:
    """The kernel and the blocks of rows in the memory of the workers, as futures."""

    def send(rows: Rows) -> list[Any]:
        # Under a name of its own, not of its content: the cluster may just be forgetting the same rows of the last job.
        return [client.scatter(rows.block(i), hash=False) for i in range(rows.count)]

    blocks = send(left)
    return client.scatter(entries, broadcast=True, hash=False), blocks, blocks if right is left else send(right)


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """work(*arguments) in one thread: the cluster runs as many blocks side by side as it has threads."""
    with one_thread():
        return work(*arguments)


def results(client: Any, start: Callable[[], Submit], items: Iterable[Any]) -> Iterator[Any]:
    """The results of all items as they come, in any order; a few for each thread are under way at a time.

    `start` brings the data to the workers and returns what makes a future of an item. When a worker dies, the data it
    held are gone: `start` is called again, and the items without a result are submitted again.

    Raises
    ------
    KernalgError
        This happened three times without a result in between.
    """
    remaining = dict.fromkeys(items)
    losses = 0
    while remaining:
        try:
            for item, result in _completed(client, start(), list(remaining)):
                del remaining[item]
                losses = 0
                yield result
        except CancelledError as error:
            losses += 1
            if losses == 3:
                raise KernalgError(
                    "workers of the cluster died three times without a result in between; their logs say why (memory, "
                    "most often: choose smaller chunks). What is in the store stays there"
                ) from error


def _completed(client: Any, submit: Submit, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    waiting = iter(items)
    running = extra("distributed").as_completed()
    item_of = {}

    def send(count: int) -> None:
        for item in islice(waiting, count):
            future = submit(item)
            item_of[future.key] = item
            running.add(future)

    send(4 * max(1, sum(client.nthreads().values())))
    for future in running:
        yield item_of.pop(future.key), future.result()
        send(1)
