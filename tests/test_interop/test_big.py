"""Gram matrices in Dask, in Zarr stores and in products: the direct matrix, whatever happens on the way to it."""

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dask.array as da
import distributed
import numpy as np
import pytest
import zarr

import kernalg as ka
from kernalg.compiled.gram import compile_program
from kernalg.compiled.layer_program import LayerProgram
from kernalg.interop import product, stores
from kernalg.interop.estimate import Estimate

RELU = ka.mlp("relu", depth=3).ntk
ERF = ka.mlp("erf", depth=2, b_var="1/10").ntk
BOUND = 2e-15  # of the largest entry: other order of summation in x.y


def data(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def assert_close(made, direct):
    assert made.shape == direct.shape
    assert np.abs(made - direct).max() <= BOUND * np.abs(direct).max()


class Log(list):
    """A progress callback that remembers."""

    def __call__(self, done, total, text):
        self.append((done, total, text))

    @property
    def found_and_made(self):
        return tuple(int(n) for n in re.search(r"(\d+) found, (\d+) made", self[-1][2]).groups())


def tree_bytes(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# -- kernels travel ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [RELU, ERF, ka.dot_product_kernel("exp(2*(rho-1))")], ids=str)
def test_kernels_pickle(K):
    X = data(5, 4)
    X *= 2 / np.linalg.norm(X, axis=1)[:, None]
    before = K(X)  # derives and compiles what does not pickle
    other = pickle.loads(pickle.dumps(K))  # noqa: S301
    assert other == K
    assert np.array_equal(other(X), before)


def test_activations_pickle():
    phi = ka.activation("leaky_relu", slope="1/5")
    assert phi.dual.diagonal is not None
    other = pickle.loads(pickle.dumps(phi))  # noqa: S301
    assert other == phi
    assert other.name == phi.name
    assert other.dual.diagonal == phi.dual.diagonal


# -- Dask ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [RELU, ERF], ids=str)
def test_dask_gives_the_gram_matrix(K):
    X, Y = data(50, 6), data(33, 6, seed=1)
    made = ka.gram_dask(K, X, chunks=16)
    assert made.chunks == ((16, 16, 16, 2), (16, 16, 16, 2))
    assert made.dtype == np.float64
    values = made.compute(scheduler="threads")
    assert np.array_equal(values, values.T)
    assert np.array_equal(np.diag(values), K.diag(X))
    assert_close(values, K(X))
    from_chunks = ka.gram_dask(K, da.from_array(X, chunks=(20, 4)), Y)
    assert from_chunks.chunks == ((20, 20, 10), (33,))
    assert_close(from_chunks.compute(scheduler="threads"), K(X, Y))
    assert_close((made @ np.ones(50)).compute(scheduler="threads"), K(X) @ np.ones(50))


def test_dask_computes_nothing_before_it_is_asked():
    calls = []
    rows = da.from_array(data(8, 3), chunks=(4, 3)).map_blocks(
        lambda block: calls.append(1) or block, dtype=float, meta=np.empty((0, 0))
    )
    G = ka.gram_dask(RELU, rows)
    assert not calls
    G[:4, :4].compute(scheduler="synchronous")
    assert calls


def test_equal_jobs_have_equal_names():
    X = data(8, 3)
    assert ka.gram_dask(RELU, X).name == ka.gram_dask(RELU, X.copy()).name
    others = [ka.gram_dask(ERF, X), ka.gram_dask(RELU, X + 1), ka.gram_dask(RELU, X, X)]
    assert ka.gram_dask(RELU, X).name not in [other.name for other in others]


# -- one route for all blocks --------------------------------------------------------------------------------------


def test_a_block_of_equal_norms_goes_the_way_of_the_whole(tmp_path):
    X = data(96, 5)
    X[:64] *= 1.5 / np.linalg.norm(X[:64], axis=1)[:, None]
    entry_by_entry = compile_program(LayerProgram(ERF.program.steps)).ntk(X[:64])
    assert (ERF(X[:64]) != entry_by_entry).any()  # the block by itself takes the table
    G = ka.gram_to_zarr(ERF, X, tmp_path / "g", chunks=64, progress=False)
    assert np.array_equal(G[:64, :64], entry_by_entry)


def test_rows_on_one_sphere_share_one_table(tmp_path, monkeypatch):
    X = data(60, 5)
    X *= 1.7 / np.linalg.norm(X, axis=1)[:, None]  # the norms differ by rounding, and so do the medians of blocks
    direct = ERF(X)
    made = []
    tables = type(ERF.program.spheres)
    real = tables.table
    monkeypatch.setattr(tables, "table", lambda self, variance: made.append(variance) or real(self, variance))
    G = ka.gram_to_zarr(ERF, X, tmp_path / "g", chunks=7, progress=False)
    assert len(made) == 1
    assert_close(G[:], direct)


# -- Zarr stores ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [7, 50, 64])
def test_a_store_holds_the_gram_matrix(tmp_path, chunks):
    X = data(50, 6)
    G = ka.gram_to_zarr(ERF, X, tmp_path / "g", chunks=chunks, progress=False)
    assert G.chunks == (chunks, chunks)
    assert np.array_equal(G[:], G[:].T)
    assert_close(G[:], ERF(X))
    assert np.array_equal(zarr.open_group(tmp_path / "g", mode="r")["gram"][:], G[:])


def test_data_are_read_by_blocks_from_whatever_holds_them(tmp_path):
    X, Y = data(40, 6), data(23, 6, seed=1)

    class OnDisk:
        shape = X.shape

        def __getitem__(self, rows):
            assert rows.stop - rows.start <= 16
            return X[rows]

    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", shape=X.shape)
    mapped[:] = X
    sources = {"disk": OnDisk(), "memmap": mapped, "dask": da.from_array(X), "zarr": zarr.array(X), "list": X.tolist()}
    for name, source in sources.items():
        assert_close(ka.gram_to_zarr(RELU, source, tmp_path / name, Y, chunks=16, progress=False)[:], RELU(X, Y))
    assert_close(ka.gram_matvec(RELU, OnDisk(), np.ones(40), chunks=16), RELU(X) @ np.ones(40))


def test_a_finished_store_is_only_checked(tmp_path):
    X, log = data(50, 6), Log()
    ka.gram_to_zarr(RELU, X, tmp_path / "g", chunks=16, progress=log)
    assert log.found_and_made == (0, 10)
    before = tree_bytes(tmp_path)
    ka.gram_to_zarr(RELU, X.astype(np.float32).astype(np.float64) * 0 + X, tmp_path / "g", chunks=16, progress=log)
    assert log.found_and_made == (10, 0)
    assert tree_bytes(tmp_path) == before


CHILD = """
import sys, time
import numpy as np, kernalg as ka

def tell(done, total, text):
    print(done, flush=True)
    if done == 100:
        time.sleep(600)

X = np.load(sys.argv[1])
ka.gram_to_zarr(ka.mlp("relu", depth=3).ntk, X, sys.argv[2], chunks=8, progress=tell)
"""


def test_a_killed_job_continues_and_loses_nothing(tmp_path):
    X = data(128, 40)
    np.save(tmp_path / "x.npy", X)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "x.npy"), str(tmp_path / "g")], stdout=subprocess.PIPE, text=True
    )
    with child.stdout:
        for line in child.stdout:
            if int(line) >= 20:
                child.kill()  # SIGKILL, at whatever the child is doing just now
                break
    assert child.wait() == -9
    log = Log()
    G = ka.gram_to_zarr(RELU, X, tmp_path / "g", chunks=8, progress=log)
    found, made = log.found_and_made
    assert found >= 20
    assert made >= 36
    assert found + made == 136
    whole = ka.gram_to_zarr(RELU, X, tmp_path / "whole", chunks=8, progress=False)
    assert np.array_equal(G[:], whole[:])
    assert_close(G[:], RELU(X))


def test_damaged_chunks_are_found_and_made_again(tmp_path):
    X, log = data(50, 6), Log()
    G = ka.gram_to_zarr(ERF, X, tmp_path / "g", chunks=16, progress=False)
    good = G[:]
    files = tmp_path / "g" / "gram" / "c"
    checksums = tmp_path / "g" / "checksums" / "c"
    flipped = bytearray((files / "0" / "0").read_bytes())
    flipped[100] ^= 1
    (files / "0" / "0").write_bytes(flipped)
    (files / "2" / "1").write_bytes((files / "2" / "1").read_bytes()[:999])  # half-written
    (files / "0" / "2").unlink()  # above the diagonal: a mirror image
    (files / "3" / "3").write_bytes(b"")
    (checksums / "3" / "0" / "0").write_bytes(b"nonsense")
    (checksums / "1" / "1" / "0").unlink()
    G = ka.gram_to_zarr(ERF, X, tmp_path / "g", chunks=16, progress=log)
    assert log.found_and_made == (4, 6)
    assert np.array_equal(G[:], good)


def test_stores_of_other_jobs_are_refused_and_left_alone(tmp_path, monkeypatch):
    X = data(20, 6)
    path = tmp_path / "g"
    ka.gram_to_zarr(RELU, X, path, chunks=8, progress=False)
    before = tree_bytes(path)
    moved = X.copy()
    moved[13, 2] = np.nextafter(moved[13, 2], 1)
    others = {
        r"kernel: <NTK of .*relu.* there, <NTK of .*erf.* asked for": lambda: ka.gram_to_zarr(ERF, X, path, chunks=8),
        "kernel: .*NNGP": lambda: ka.gram_to_zarr(ka.mlp("relu", depth=3).nngp, X, path, chunks=8),
        r"\(X: shape": lambda: ka.gram_to_zarr(RELU, moved, path, chunks=8),
        r"\(Y: None there": lambda: ka.gram_to_zarr(RELU, X, path, X, chunks=8),
        r"\(chunks: \[8, 8\] there, \[16, 16\]": lambda: ka.gram_to_zarr(RELU, X, path, chunks=16),
        "result: gram there, product": lambda: ka.gram_matvec(RELU, X, np.ones(20), chunks=8, store=path),
    }
    for message, other in others.items():
        with pytest.raises(
            ka.DomainError, match=rf"another job .*{message}.*\. Name another store, or delete this one"
        ):
            other()
    monkeypatch.setattr(stores, "__version__", "99.0")
    with pytest.raises(ka.DomainError, match=rf"\(version: {ka.__version__} there, 99.0 asked for\)"):
        ka.gram_to_zarr(RELU, X, path, chunks=8)
    assert tree_bytes(path) == before


def test_what_is_no_store_of_ours_is_refused(tmp_path):
    X = data(20, 6)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    (tmp_path / "file").touch()
    for name in ("photos", "file"):
        with pytest.raises(ka.DomainError, match="exists and is not a Zarr group; name a path that does not exist yet"):
            ka.gram_to_zarr(RELU, X, tmp_path / name, progress=False)
    zarr.create_group(tmp_path / "theirs")
    with pytest.raises(ka.DomainError, match="not a job of kernalg"):
        ka.gram_to_zarr(RELU, X, tmp_path / "theirs", progress=False)
    ka.gram_to_zarr(RELU, X, tmp_path / "g", progress=False)
    description = tmp_path / "g" / "zarr.json"
    text = description.read_text()
    description.write_text(text[:50])
    with pytest.raises(ka.DomainError, match="cannot be read as Zarr"):
        ka.gram_to_zarr(RELU, X, tmp_path / "g", progress=False)
    description.write_text(text)
    for name in ("gram", "checksums"):
        shutil.rmtree(tmp_path / "g" / name)
        zarr.create_array(tmp_path / "g" / name, shape=(3,), dtype="int8")
        with pytest.raises(ka.DomainError, match=f"the array {name} of the store .* is damaged"):
            ka.gram_to_zarr(RELU, X, tmp_path / "g", progress=False)
        shutil.rmtree(tmp_path / "g" / name)
    assert_close(ka.gram_to_zarr(RELU, X, tmp_path / "g", progress=False)[:], RELU(X))  # killed after the description


# -- products ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [RELU, ERF], ids=str)
def test_products(K):
    X, Y = data(50, 6), data(33, 6, seed=1)
    v, w = data(50, 3, seed=2), data(33, 1, seed=3)[:, 0]
    assert_close(ka.gram_matvec(K, X, v, chunks=16), K(X) @ v)
    assert_close(ka.gram_matvec(K, X, w, Y, chunks=16), K(X, Y) @ w)


def test_a_product_of_rows_with_themselves_takes_half_the_blocks(monkeypatch):
    X, v, calls = data(50, 6), data(50, 2, seed=2), []
    whole = product._block
    monkeypatch.setattr(product, "_block", lambda *a: calls.append(1) or whole(*a))
    for most in (128, 3):
        monkeypatch.setattr(product, "_MOST_PARTS", most)
        calls.clear()
        log = Log()
        assert_close(ka.gram_matvec(ERF, X, v, chunks=8, progress=log), ERF(X) @ v)
        assert len(calls) == 28 and log.found_and_made == (0, min(7, most))
    ka.gram_matvec(ERF, X, v, X, chunks=8)
    assert len(calls) == 28 + 49


def test_an_interrupted_product_continues(tmp_path):
    X, v, log = data(50, 6), data(50, 2, seed=2), Log()

    def interrupt(done, total, text):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ka.gram_matvec(ERF, X, v, chunks=8, store=tmp_path / "p", progress=interrupt)
    made = ka.gram_matvec(ERF, X, v, chunks=8, store=tmp_path / "p", progress=log)
    assert log.found_and_made == (3, 4)
    assert np.array_equal(made, ka.gram_matvec(ERF, X, v, chunks=8))
    with pytest.raises(ka.DomainError, match=r"another job \(v: "):
        ka.gram_matvec(ERF, X, v + 1, chunks=8, store=tmp_path / "p")
    chunk = tmp_path / "p" / "product" / "c" / "6" / "0" / "0"
    chunk.write_bytes(b"0" * chunk.stat().st_size)
    again = ka.gram_matvec(ERF, X, v, chunks=8, store=tmp_path / "p", progress=log)
    assert log.found_and_made == (6, 1)
    assert np.array_equal(again, made)


# -- a cluster -----------------------------------------------------------------------------------------------------


def test_two_workers_do_the_same(tmp_path):
    X, log = data(60, 6), Log()
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
    with cluster, distributed.Client(cluster) as client:
        G = ka.gram_to_zarr(RELU, X, tmp_path / "g", chunks=16, client=client, progress=log)
        assert log.found_and_made == (0, 10)
        (tmp_path / "g" / "gram" / "c" / "2" / "1").write_bytes(b"")
        ka.gram_to_zarr(RELU, X, tmp_path / "g", chunks=16, client=client, progress=log)
        assert log.found_and_made == (9, 1)
        lazy = ka.gram_dask(RELU, X, chunks=16).compute()
        workers = client.run(os.getpid)

        def kill(done, total, text):
            log(done, total, text)
            if done == 3:
                os.kill(min(workers.values()), signal.SIGKILL)

        H = ka.gram_to_zarr(RELU, X, tmp_path / "h", chunks=4, client=client, progress=kill)
        assert log[-1][:2] == (120, 120)
        product = ka.gram_matvec(RELU, X, X, chunks=16, client=client)
        with pytest.raises(ka.DomainError, match=r"X\[16:32\]\[4, 1\] is nan"):
            X[20, 1] = np.nan
            ka.gram_dask(RELU, X, chunks=16).compute()
    X[20, 1] = data(60, 6)[20, 1]
    for made in (G[:], H[:], lazy):
        assert_close(made, RELU(X))
    assert_close(product, RELU(X) @ X)


# -- what is said --------------------------------------------------------------------------------------------------


def test_progress_is_told(tmp_path, capsys):
    X, log = data(64, 3), Log()
    ka.gram_to_zarr(RELU, X, tmp_path / "g", chunks=16, progress=log)
    assert [entry[:2] for entry in log] == [(i, 10) for i in range(1, 11)]
    assert re.fullmatch(r"Gram matrix: 4 of 10, about [\d.]+ s left", log[3][2])
    ka.gram_to_zarr(RELU, X, tmp_path / "h", chunks=4, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert re.fullmatch(r"\[10/10\] Gram matrix: 136 of 136, 0 found, 136 made in [\d.]+ s", lines[-1])


def test_the_estimate_counts_what_is_made(monkeypatch):
    clock = iter([0.0, 5.0, 10.0, 12.0, 14.0, 16.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    log = Log()
    tell = Estimate("Work", 5, log)
    for found in (True, True, False, False, False):
        tell(found)
    assert [text for _, _, text in log] == [
        "Work: 1 of 5, 1 found",
        "Work: 2 of 5, 2 found",
        "Work: 3 of 5, about 4.0 s left",
        "Work: 4 of 5, about 2.0 s left",
        "Work: 5 of 5, 2 found, 3 made in 6.0 s",
    ]


def test_bad_input(tmp_path):
    X = data(20, 6)
    bad = X.copy()
    bad[13, 2] = np.nan
    with pytest.raises(ka.DomainError, match=r"X\[8:16\]\[5, 2\] is nan"):
        ka.gram_to_zarr(RELU, bad, tmp_path / "g", chunks=8)
    with pytest.raises(ka.DomainError, match=r"Y\[8:16\]\[5, 2\] is nan"):
        ka.gram_matvec(RELU, X, np.ones(20), bad, chunks=8)
    huge = X.copy()
    huge[13] *= 1e200
    with pytest.raises(ka.DomainError, match=r"the squared norm of X\[8:16\]\[5\] overflows"):
        ka.gram_dask(RELU, huge, chunks=8).compute(scheduler="synchronous")
    assert not (tmp_path / "g").exists()
    for chunks in (0, 1.5, True, (8, 8)):
        with pytest.raises(ka.DomainError, match="a positive integer like 1024"):
            ka.gram_to_zarr(RELU, X, tmp_path / "g", chunks=chunks)
    for K in (lambda X: X, ka.mlp("relu")):
        with pytest.raises(ka.DomainError, match="a kernel of kernalg is needed"):
            ka.gram_dask(K, X)
    for work in (lambda Y: ka.gram_dask(RELU, X, Y), lambda Y: ka.gram_to_zarr(RELU, X, tmp_path / "g", Y)):
        with pytest.raises(ka.DomainError, match="X has 6 columns and Y has 5"):
            work(X[:, :5])
        with pytest.raises(ka.DomainError, match=r"Y has shape \(6,\)"):
            work(X[0])
    for v in (np.ones(19), np.ones((20, 0)), np.ones((20, 1, 1))):
        with pytest.raises(ka.DomainError, match=r"v has shape .* a vector \(20,\)"):
            ka.gram_matvec(RELU, X, v)
    with pytest.raises(ka.DomainError, match="compute_chunk_sizes"):
        rows = da.from_array(X)
        ka.gram_dask(RELU, rows[rows[:, 0] > 0])


def test_a_block_without_a_value_is_named():
    K = ka.mlp("x**2", depth=1).ntk
    X = data(20, 3)
    X[13] *= 1e100
    with pytest.raises(
        ka.DomainError, match=r"in the block K\(X\[8:16\], X\[0:8\]\), whose rows count from 0 .* X\[5\] with itself"
    ):
        ka.gram_matvec(K, X, np.ones(20), chunks=8)


@pytest.mark.parametrize("name", ["zarr", "dask.array"])
def test_without_the_extra_the_message_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    work = (
        (lambda: ka.gram_to_zarr(RELU, data(3, 2), "g")) if name == "zarr" else (lambda: ka.gram_dask(RELU, data(3, 2)))
    )
    with pytest.raises(ka.MissingExtra, match=r"pip install 'kernalg\[big\]'"):
        work()
    assert not Path("g").exists()
    assert_close(ka.gram_matvec(RELU, data(3, 2), np.ones(3)), RELU(data(3, 2)) @ np.ones(3))  # needs neither
