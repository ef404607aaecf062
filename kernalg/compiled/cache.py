"""Generated modules: written once to a private directory, imported from there, compiled once per machine.

Numba caches machine code only for functions that live in a file, and it notices changes of that file alone.
So a generated module is one file, named by a hash of its text, of the versions and of the processor. Numba's
cache files are pickles: whoever can write them can run code as you. So the directory must belong to the user and
be writable by nobody else; where no such directory can be had, a temporary one is used and the code is compiled
again in the next process.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from kernalg.errors import DomainError

_loaded: dict[str, ModuleType] = {}
_lock = threading.RLock()


def cache_directory() -> Path:
    """The directory of generated modules, created if needed.

    ``KERNALG_CACHE_DIR`` if set, else ``~/.cache/kernalg`` (under ``XDG_CACHE_HOME`` if set). A directory that
    cannot be written is replaced by a temporary one for this process.

    Raises
    ------
    DomainError
        The directory belongs to somebody else or is writable by others.
    """
    named = os.environ.get("KERNALG_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        path = Path(named) if named else (Path(base) if base else Path.home() / ".cache") / "kernalg"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return _temporary_directory()
    _refuse_shared(path)
    return path if os.access(path, os.W_OK | os.X_OK) else _temporary_directory()


def _refuse_shared(path: Path) -> None:
    if os.name != "posix":
        return
    status = path.stat()
    if status.st_uid != os.getuid():
        problem = f"belongs to user id {status.st_uid}, not to you ({os.getuid()})"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = f"is writable by others (mode {stat.S_IMODE(status.st_mode):o})"
    else:
        return
    raise DomainError(
        f"the cache directory {path} {problem}; code is loaded from it, so it must be yours alone. "
        f"Run `chmod 700 {path}`, or set KERNALG_CACHE_DIR to a private directory"
    )


@cache
def _temporary_directory() -> Path:
    holder = tempfile.TemporaryDirectory(prefix="kernalg-", ignore_cleanup_errors=True)  # mode 0700, removed at exit
    _holders.append(holder)
    return Path(holder.name)


_holders: list[tempfile.TemporaryDirectory[str]] = []


def module_tag(text: str) -> str:
    """Name of the module for `text`: a hash over the text, the versions and the processor."""
    import llvmlite.binding
    import numba
    import numpy

    import kernalg

    parts = (
        text,
        kernalg.__version__,
        numba.__version__,
        numpy.__version__,
        sys.version,
        llvmlite.binding.get_host_cpu_name(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def load(text: str) -> ModuleType:
    """Import `text` as a module, from the cache directory where it is already compiled.

    Safe against other processes and threads doing the same. Damaged files in the cache are replaced.
    """
    tag = module_tag(text)
    with _lock:
        if tag not in _loaded:
            path = cache_directory() / f"kernalg_{tag}.py"
            try:
                _write(path, text)
            except OSError:  # disk full, or quota
                path = _temporary_directory() / path.name
                _write(path, text)
            try:
                _loaded[tag] = _import(path)
            except Exception:
                # A damaged pickle of compiled code raises nearly anything. Fresh files decide whether it was that,
                # also for the modules that this one imports.
                for needed in re.findall(r"^from _(kernalg_[0-9a-f]{24}) import", text, flags=re.MULTILINE):
                    _forget_compiled(path.with_name(f"{needed}.py"))
                _forget_compiled(path)
                _write(path, text)
                _loaded[tag] = _import(path)
        return _loaded[tag]


def remember(key: str, make: Callable[[], Any]) -> Any:
    """What `make` returns (JSON data), from the cache directory if it was made before.

    `key` says everything the value depends on. A damaged or missing file is made again; a disk that is full only
    means that the next process makes it again.
    """
    import kernalg

    digest = hashlib.sha256(f"{kernalg.__version__}\0{key}".encode()).hexdigest()
    path = cache_directory() / f"data_{digest[:24]}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["key"] == digest:
            return found["value"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    value = make()
    with contextlib.suppress(OSError):
        _write(path, json.dumps({"key": digest, "value": value}))
    return value


def _write(path: Path, text: str) -> None:
    data = text.encode()
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _import(path: Path) -> ModuleType:
    name = f"_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    from numba.core import config

    # The machine code goes beside the file, into the directory that was checked, also where NUMBA_CACHE_DIR is set.
    elsewhere, config.CACHE_DIR = config.CACHE_DIR, ""  # type: ignore[attr-defined]
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        config.CACHE_DIR = elsewhere  # type: ignore[attr-defined]
    return module


def _forget_compiled(path: Path) -> None:
    for file in path.parent.joinpath("__pycache__").glob(f"{path.stem}*"):
        file.unlink(missing_ok=True)


def helper_text(name: str) -> str:
    """Text of one of the modules beside this one whose functions generated code calls."""
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
