"""Zarr stores of long jobs: what belongs to them, what is finished in them, what is damaged.

A store is a Zarr group. Its attribute "kernalg" says which job it belongs to; an array holds the result, in chunks, and
the array "checksums" the SHA-256 of every finished chunk. A chunk is written first and its checksum after it, so a job
that dies leaves chunks without checksums at worst, and these are computed again. So are chunks whose bytes no longer
give their checksum. The fill value is NaN: what is not there cannot be taken for a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernalg import __version__
from kernalg.errors import DomainError
from kernalg.interop.blocks import checksum, extra

_FORMAT = 1
_DELETE = "Name another store, or delete this one to start afresh"


def open_job(
    store: Any, job: Mapping[str, Any], result: str, shape: tuple[int, ...], chunks: tuple[int, ...]
) -> tuple[Any, Any]:
    """The result array and the checksums of `job` in `store`, made if they are not there.

    Parameters
    ----------
    store : path, URL or zarr store
    job : dict of JSON values
        What decides the numbers in the store. A store with other values is refused.
    result : str
        Name of the array.

    Raises
    ------
    DomainError
        The store belongs to another job or to another version, is something else, or is damaged.
    """
    zarr = extra("zarr")
    store = _location(store)
    described = {"format": _FORMAT, "version": __version__, "result": result, "chunks": list(chunks), **job}
    try:
        group = zarr.open_group(store, mode="r+")
    except (FileNotFoundError, FileExistsError, NotADirectoryError):
        _refuse_occupied(store)
        group = zarr.create_group(store, attributes={"kernalg": described})
    except Exception as error:  # damaged JSON raises whatever its reader raises
        raise DomainError(f"the store {store} cannot be read as Zarr ({error}). {_DELETE}") from error
    _compare(group.attrs.get("kernalg"), described, store)
    grid = tuple(-(-n // side) for n, side in zip(shape, chunks, strict=True))
    values = _array(group, result, shape, chunks, "float64", np.nan, store)
    sums = _array(group, "checksums", (*grid, 32), (1,) * len(grid) + (32,), "uint8", 0, store)
    return values, sums


def finished(values: Any, sums: Any, index: tuple[int, ...], at: tuple[slice, ...]) -> NDArray[np.float64] | None:
    """The chunk `index`, which fills `at`, when it is there and undamaged."""
    try:
        recorded = np.asarray(sums[index])
        if not recorded.any():
            return None
        found = np.asarray(values[at])
    except Exception:  # a half-written file raises whatever its codec raises; the chunk is computed again
        return None
    return found if np.array_equal(checksum(found), recorded) else None


def record(sums: Any, index: tuple[int, ...], block: NDArray[np.float64]) -> None:
    """Say that the chunk `index` is written and holds `block`."""
    sums[index] = checksum(block)


def _array(
    group: Any, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str, fill: float, store: Any
) -> Any:
    try:
        if name not in group:
            # Float64 kernels compress by a few per cent; a file that holds the numbers themselves is worth more.
            return group.create_array(
                name, shape=shape, chunks=chunks, dtype=dtype, fill_value=fill, compressors=None, filters=None
            )
        array = group[name]
        if (array.shape, array.chunks, str(array.dtype)) == (shape, chunks, dtype):
            return array
        problem = f"shape {array.shape}, chunks {array.chunks}, {array.dtype}"
    except OSError:  # a full disk, a lost permission: nothing is wrong with what is there
        raise
    except Exception as error:
        problem = str(error)
    raise DomainError(f"the array {name} of the store {store} is damaged ({problem}). {_DELETE}")


def _compare(found: Any, wanted: dict[str, Any], store: Any) -> None:
    if not isinstance(found, Mapping):
        raise DomainError(f"the store {store} holds a Zarr group that is not a job of kernalg. {_DELETE}")
    different = [key for key in wanted if found.get(key, "missing") != wanted[key]]
    if "kernel" in different and "kernel_json" in different:
        different.remove("kernel_json")  # the kernel's name tells them apart
    if different:
        said = "; ".join(
            f"{key}: {_short(found.get(key, 'missing'))} there, {_short(wanted[key])} asked for" for key in different
        )
        raise DomainError(f"the store {store} belongs to another job ({said}). {_DELETE}")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _location(store: Any) -> Any:
    """A path that means the same in every process; a URL or a zarr store as it is."""
    if isinstance(store, Path) or (isinstance(store, str) and "://" not in store):
        return Path(store).expanduser().resolve()
    return store


def _refuse_occupied(store: Any) -> None:
    """A file, or a folder with other things in it than an interrupted first write, is not ours to write into."""
    if not isinstance(store, Path) or not store.exists():
        return
    if not store.is_dir() or any(not entry.name.endswith(".partial") for entry in store.iterdir()):
        raise DomainError(f"{store} exists and is not a Zarr group; name a path that does not exist yet")
