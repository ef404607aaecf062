"""The cache of generated modules: private, atomic, and unable to break a computation."""

import os
import subprocess
import sys

import pytest

from kernalg.compiled import cache
from kernalg.errors import DomainError

TEXT = '''"""A generated module."""

from numba import njit


@njit("float64(float64)", cache=True)
def double(x):
    return 2.0 * x
'''


@pytest.fixture
def directory(tmp_path, monkeypatch):
    path = tmp_path / "cache"
    monkeypatch.setenv("KERNALG_CACHE_DIR", str(path))
    monkeypatch.setattr(cache, "_loaded", {})
    return path


def test_write_compile_and_load_again(directory, monkeypatch):
    assert cache.load(TEXT).double(1.5) == 3.0
    assert directory.stat().st_mode & 0o777 == 0o700
    (source,) = directory.glob("*.py")
    assert source.read_text() == TEXT
    monkeypatch.setattr(cache, "_loaded", {})
    module = cache.load(TEXT)
    assert module.double.stats.cache_hits
    assert not list(directory.glob("*.tmp"))


def test_damaged_files_are_replaced(directory, monkeypatch):
    cache.load(TEXT)
    damaged = [*directory.glob("*.py"), *directory.glob("__pycache__/*.nb?")]
    assert len(damaged) == 3
    for file in damaged:
        file.write_bytes(b"no longer what it was")
        monkeypatch.setattr(cache, "_loaded", {})
        assert cache.load(TEXT).double(1.5) == 3.0


def test_an_error_of_the_text_itself_is_raised(directory):
    with pytest.raises(NameError):
        cache.load("undefined_name\n")


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX")
def test_directory_of_others_is_refused(directory, monkeypatch):
    directory.mkdir(mode=0o700)
    directory.chmod(0o770)
    with pytest.raises(DomainError, match="chmod 700"):
        cache.load(TEXT)
    directory.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    with pytest.raises(DomainError, match="not to you"):
        cache.load(TEXT)


def test_no_place_to_write(directory, monkeypatch, tmp_path):
    """A file where the directory should be, and a directory that cannot be written (os.access, as root may write)."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("KERNALG_CACHE_DIR", str(blocked / "below"))
    assert cache.load(TEXT).double(1.5) == 3.0
    monkeypatch.setenv("KERNALG_CACHE_DIR", str(directory))
    monkeypatch.setattr(cache, "_loaded", {})
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert cache.load(TEXT).double(1.5) == 3.0
    assert not list(directory.glob("*.py"))


def test_two_processes_at_once(directory):
    code = f"from kernalg.compiled.cache import load; print(load({TEXT!r}).double(1.5))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0] for process in processes] == [b"3.0\n", b"3.0\n"]
    assert len(list(directory.glob("*.py"))) == 1


def test_name_depends_on_text_and_versions(monkeypatch):
    import kernalg

    first = cache.module_tag(TEXT)
    assert cache.module_tag(TEXT) == first
    assert cache.module_tag(TEXT + "\n") != first
    monkeypatch.setattr(kernalg, "__version__", "other")
    assert cache.module_tag(TEXT) != first
