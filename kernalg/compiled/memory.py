"""What fits in memory, asked before a large result is allocated."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kernalg.errors import DomainError


def available_memory() -> int | None:
    """Bytes this process can still take without swapping; None where the system does not say.

    The smaller of what the machine and what the control group (a container, a batch job) have left.
    """
    limits = [limit for limit in (_machine(), _control_group()) if limit is not None]
    return min(limits, default=None)


def check_result_fits(shape: tuple[int, int], matrices: int = 1, dtype: type = np.float64) -> None:
    """Refuse results that would not fit in memory.

    Raises
    ------
    DomainError
        With the size, and the calls that do without storing the matrix.
    """
    needed = np.dtype(dtype).itemsize * shape[0] * shape[1] * matrices
    if needed < 2**28:  # not worth reading a file for
        return
    left = available_memory()
    if left is not None and needed > left:
        what = f"{matrices} matrices" if matrices > 1 else "a matrix"
        raise DomainError(
            f"the result is {what} of shape {shape}: {_size(needed)}, and {_size(left)} of memory are available. "
            "Products with the matrix need no memory for it: K.operator(X) @ v. To compute it onto the disk: "
            "ka.gram_to_zarr(K, X, store)"
        )


def _machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:  # all of it, where what is free is not told
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _control_group(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Limit less use, in either version of control groups; inside a container its own is at the root.

    Files read lately count as used there, and are given up when memory is short.
    """
    for limit, use, inactive in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            allowed, used = int((root / limit).read_text()), int((root / use).read_text())
            statistics = dict(line.split() for line in (root / use).with_name("memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # absent, or the word max
            continue
        return max(0, allowed - used + int(statistics.get(inactive, 0)))
    return None


def _size(count: int) -> str:
    return f"{count / 1e12:.3g} TB" if count >= 1e12 else f"{count / 1e9:.3g} GB"
