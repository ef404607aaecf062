"""The Gram matrix that is never stored, against the one that is."""

import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg

import kernalg as ka
from kernalg.compiled import memory, operator
from kernalg.compiled.threads import in_order
from kernalg.errors import DomainError

# Tiles of 128 x 128, so that few rows make many of them.
SMALL = 128


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(operator, "TILE", SMALL)


@pytest.fixture(scope="module")
def kernels():
    """By the profile at any norms; by the layer recursion and by Hermite series (unequal norms)."""
    relu, erf = ka.mlp("relu", depth=2), ka.mlp("erf", depth=2, w_var="3/2", b_var="1/10")
    tanh = ka.mlp("tanh", depth=2, w_var="3/2", b_var="1/10")
    networks = {"relu": relu, "erf": erf, "tanh": tanh}
    return {f"{name} {kind}": getattr(net, kind) for name, net in networks.items() for kind in ("ntk", "nngp")}


KERNELS = ["relu ntk", "relu nngp", "erf ntk", "erf nngp", "tanh ntk"]


def rows(n, d=7, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * rng.uniform(0.3, 3.0, (n, 1))
    if n > 40:
        X[n - 2], X[n - 3], X[30] = X[1], -X[2], X[31]  # equal and opposite rows, in one tile and across tiles
    return X


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("n", [1, 3, SMALL, SMALL + 1, 3 * SMALL - 5])
def test_against_itself(kernels, name, n):
    K, X = kernels[name], rows(n)
    A, dense = K.operator(X), K(X)
    V = np.random.default_rng(1).standard_normal((n, 4))
    size = np.abs(dense) @ np.abs(V)
    assert A.shape == (n, n)
    assert A.dtype == np.float64
    assert np.all(np.abs(A @ V - dense @ V) <= 2e-15 * np.sqrt(n) * size.max())
    assert A.H is A
    assert A.T is A
    assert np.array_equal(A.rmatmat(V), A.matmat(V))
    np.testing.assert_array_equal(A.diagonal(), K.diag(X))
    # every entry, by unit vectors: equal rows included
    np.testing.assert_allclose(A @ np.eye(n), dense, rtol=0, atol=1e-14 * dense.max())


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("shape", [(1, 2), (SMALL, SMALL), (2 * SMALL + 3, SMALL - 1), (50, 2 * SMALL + 90)])
def test_against_others(kernels, name, shape):
    K, X, Y = kernels[name], rows(shape[0]), rows(shape[1], seed=5)
    Y[0] = X[0]
    A, dense = K.operator(X, Y), K(X, Y)
    rng = np.random.default_rng(2)
    V, W = rng.standard_normal((shape[1], 3)), rng.standard_normal((shape[0], 3))
    assert A.shape == shape
    np.testing.assert_allclose(A @ V, dense @ V, rtol=0, atol=1e-13 * dense.max())
    np.testing.assert_allclose(A.H @ W, dense.T @ W, rtol=0, atol=1e-13 * dense.max())
    np.testing.assert_allclose(A.T @ W, dense.T @ W, rtol=0, atol=1e-13 * dense.max())
    np.testing.assert_allclose(A.rmatvec(W[:, 0]), dense.T @ W[:, 0], rtol=0, atol=1e-13 * dense.max())
    np.testing.assert_allclose(A.H.H @ V, A @ V, rtol=0, atol=0)
    with pytest.raises(DomainError, match="has no diagonal"):
        A.diagonal()


def test_rows_on_a_sphere_take_the_table(kernels):
    X = np.random.default_rng(3).standard_normal((300, 6))
    X *= np.sqrt(6) / np.linalg.norm(X, axis=1, keepdims=True)
    K = kernels["erf ntk"]
    A = K.operator(X)
    assert type(A._prepared.route).__name__ == "ProfileRoute"
    np.testing.assert_allclose(A @ X, K(X) @ X, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["relu ntk", "erf ntk"])
def test_the_bits_do_not_depend_on_threads(kernels, name):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    X = rows(5 * SMALL - 31, d=40)
    V = np.random.default_rng(4).standard_normal((len(X), 5))
    A, B = kernels[name].operator(X), kernels[name].operator(X, X[:200])
    found = []
    try:
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            for blas in (1, 2, 3):
                with threadpoolctl.threadpool_limits(blas, user_api="blas"):
                    found.append((A @ V, A @ V[:, 0], B @ V[:200], B.H @ V))
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def blas_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


def test_callers_in_several_threads_and_blas_as_it_was(kernels):
    X = rows(300)
    A = kernels["relu ntk"].operator(X)
    before = blas_threads()
    expected = A @ X
    found = []
    callers = [threading.Thread(target=lambda: found.append(A @ X)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert blas_threads() == before
    assert len(found) == 4
    assert all(np.array_equal(one, expected) for one in found)
    assert set(in_order(lambda _: tuple(blas_threads()), range(3))) == {(1,) * len(before)}


def test_forked_in_the_middle_of_a_product():
    """The child has no thread that would ever finish the parent's product."""
    script = """
import os, signal, threading, time, numpy as np, kernalg as ka
X = np.random.default_rng(0).standard_normal((6000, 5))
A, B = (ka.mlp("relu").ntk.operator(rows) for rows in (X, X[:300]))
expected = B @ X[:300]
worker = threading.Thread(target=lambda: A @ X)
worker.start()
time.sleep(0.05)
assert worker.is_alive()
child = os.fork()
if child == 0:
    signal.alarm(30)
    os._exit(0 if np.array_equal(B @ X[:300], expected) else 1)
assert os.waitpid(child, 0)[1] == 0
worker.join()
"""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)


def test_in_order_keeps_the_order_and_passes_errors_on():
    assert list(in_order(lambda i: i * i, range(100))) == [i * i for i in range(100)]

    def fail(i):
        if i == 7:
            raise ValueError("seven")
        return i

    seen = []
    with pytest.raises(ValueError, match="seven"):
        for i in in_order(fail, iter(range(10**9))):  # not all items are looked at before
            seen.append(i)
    assert seen == list(range(7))


def test_operands(kernels):
    K, X = kernels["relu ntk"], rows(140)
    A, dense = K.operator(X), K(X)
    v = np.random.default_rng(5).standard_normal(140)
    np.testing.assert_allclose(A @ (v + 2j * X[:, 0]), dense @ (v + 2j * X[:, 0]), rtol=0, atol=1e-11)
    np.testing.assert_allclose(A @ np.arange(140), dense @ np.arange(140), rtol=1e-12)
    assert (A @ np.zeros((140, 0))).shape == (140, 0)
    assert (A @ v).shape == (140,)
    assert np.isnan(A @ np.full(140, np.nan)).all()
    with pytest.raises(ValueError, match="dimension mismatch"):
        A @ v[:-1]
    single = K.operator(X.astype(np.float32))
    assert np.array_equal(single @ v, K.operator(X.astype(np.float32).astype(float)) @ v)
    assert "140 x 140" in repr(A)


def test_scipy_arithmetic_and_solvers(kernels):
    K, X = kernels["erf nngp"], rows(150)
    ridge = 0.5 * aslinearoperator(np.eye(150))
    shifted = K.operator(X) + ridge
    assert isinstance(shifted, LinearOperator)
    b = np.sin(np.arange(150.0))
    solution, info = cg(shifted, b, rtol=1e-10)
    assert info == 0
    np.testing.assert_allclose(solution, np.linalg.solve(K(X) + 0.5 * np.eye(150), b), atol=1e-8)


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        ([[1.0, np.nan]], None, r"X\[0, 1\] is nan"),
        (np.ones((3, 2)), np.ones((2, 3)), "2 columns and Y has 3"),
        (np.ones((0, 2)), None, "no inputs"),
        (1e200 * np.ones((2, 2)), None, "overflows"),
    ],
)
def test_refused_inputs(kernels, X, Y, message):
    with pytest.raises(DomainError, match=message):
        kernels["relu ntk"].operator(X, Y)


def test_refused_entries_are_named_by_their_rows(kernels):
    """|x|^2 is finite for both rows, the entry (|x||y|)^3-like of a steep power is not."""
    K = ka.serial(ka.Dense(1, 0), ka.activation("relu")).nngp
    cubed = ka.serial(ka.Dense(1, 0), "x**3", ka.Dense(1, 0), "x**3").nngp
    X = np.ones((SMALL + 4, 2))
    assert np.isfinite(K.operator(X) @ X).all()
    X[SMALL + 2] = 1e40
    with pytest.raises(DomainError, match=rf"X\[{SMALL + 2}\] with itself"):
        cubed.operator(X)


def test_progress(kernels, monkeypatch):
    monkeypatch.setattr(operator, "_SILENT_SECONDS", 0.0)
    monkeypatch.setattr(operator, "_REPORT_SECONDS", 0.0)
    said = []
    A = kernels["relu ntk"].operator(rows(300), progress=lambda done, total, text: said.append((done, total, text)))
    A @ np.ones((300, 2))
    assert len(said) == 6 + 1
    assert said[0][:2] == (0, 1)
    assert "2 columns" in said[0][2]
    assert [text.split(": ")[1].split("%")[0] for _, _, text in said[:6]] == ["18", "55", "73", "85", "98", "100"]
    assert said[-1][0] == 1


def test_quick_products_are_silent(kernels, capsys):
    kernels["relu ntk"].operator(rows(50), progress=True) @ np.ones(50)
    assert capsys.readouterr().err == ""


def test_results_beyond_memory_are_refused(kernels, monkeypatch):
    K, few = kernels["relu ntk"], np.ones((2, 3))
    huge = np.broadcast_to(few[:1], (2**21, 3))
    with pytest.raises(DomainError, match=r"35\.2 TB.*K\.operator\(X\).*ka\.gram_to_zarr"):
        K(huge)
    with pytest.raises(DomainError, match=r"2 matrices .* 70\.4 TB"):
        K.nngp_and_ntk(huge)
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    assert memory.check_result_fits((10_000, 10_000)) is None
    with pytest.raises(DomainError, match=r"1\.6 GB, and 1 GB of memory"):
        memory.check_result_fits((10_000, 20_000))
    assert memory.check_result_fits((10_000, 20_000), 0) is None


def test_memory_of_a_container(tmp_path):
    assert memory._control_group(tmp_path) is None
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 250\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._control_group(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory._control_group(tmp_path) == 1000 - 700 + 250
    assert memory.available_memory() > 2**20


def test_kernels_given_by_a_formula():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1100, 5))
    X *= (np.sqrt(5) / np.linalg.norm(X, axis=1))[:, None]
    kernel = ka.dot_product_kernel("exp(2*(rho-1))")
    V = rng.normal(size=(1100, 2))
    operator = kernel.operator(X)
    np.testing.assert_allclose(operator @ V, kernel(X) @ V, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(operator.diagonal(), kernel.diag(X))
    assert repr(operator) == "<1100 x 1100 operator of the kernel, never stored>"
    across = kernel.operator(X, X[:9])
    np.testing.assert_allclose(across @ V[:9], kernel(X, X[:9]) @ V[:9], rtol=0, atol=1e-12)
    np.testing.assert_allclose(across.T @ V, kernel(X[:9], X) @ V, rtol=0, atol=1e-11)
    with pytest.raises(DomainError, match="rescale the rows"):
        kernel.operator(2 * X) @ V
