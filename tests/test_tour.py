"""The tour at a small scale: files, numbers, and that the theory and the experiment meet."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from kernalg import tour
from kernalg.errors import DomainError
from kernalg.findings import Scale, Tour
from kernalg.progress import Display

SMALL = Scale(
    dimension=30, degree=12, sphere_n=(60, 200), sphere_draws=8, digits_n=(30, 60), digits_draws=6, digits_points=600,
    certified_entries=6, certified_digits=30,
)  # fmt: skip


@pytest.fixture(scope="module")
def steps() -> list[tuple[int, int, str]]:
    return []


@pytest.fixture(scope="module")
def result(tmp_path_factory, steps) -> Tour:
    folder = tmp_path_factory.mktemp("tour") / "out"
    return tour.run("relu", depth=2, out=folder, scale=SMALL, progress=lambda *step: steps.append(step))


class Page(HTMLParser):
    """Checks that tags are balanced; collects the attributes that may point outside."""

    VOID = frozenset({"meta", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def test_the_report_is_one_well_formed_self_contained_page(result):
    text = result.report.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert len(page.headings) == 9 and page.headings[0] == "From relu to a learning curve"
    assert len(page.links) == 7
    for link in page.links:
        header, data = link.split(",", 1)
        assert header == "data:image/svg+xml;base64"
        assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")
    assert "http" not in text and "<script" not in text and "@import" not in text and "url(" not in text
    assert not re.search(r"\b(nan|inf|None)\b", re.sub(r'src="[^"]*"', "", text))
    assert "<code>\\" not in text  # every formula of this report was typeset
    assert "$" not in text


def test_results_are_finite_numbers_in_a_fixed_order(result):
    text = result.results.read_text(encoding="utf-8")
    tree = json.loads(text)

    def walk(node, path=""):
        if isinstance(node, dict):
            assert list(node) == sorted(node)
            for key, value in node.items():
                walk(value, f"{path}/{key}")
        elif isinstance(node, list):
            for value in node:
                walk(value, path)
        elif isinstance(node, float):
            assert math.isfinite(node), path
        else:
            assert node is None or isinstance(node, str | int), path
            assert node not in ("nan", "inf", "-inf"), path

    walk(tree)
    assert tree["settings"] == {
        "activation": "relu", "b_var": "0", "depth": 2, "formula": "Max(0, x)", "seed": 0, "w_var": "2",
    }  # fmt: skip
    assert {"numpy", "sympy", "numba", "python", "kernalg"} <= set(tree["versions"])
    assert set(tree) >= {"agreements", "digits", "dual", "gram", "profile", "scale", "seconds", "sphere"}


def test_certified_digits_and_float64(result):
    assert [a.digits for a in result.agreements] == [30, 30]
    assert result.gram.worst_error < 1e-15
    # closed form of the dual at q1 q2 = 1, c = 2/5: (sqrt(1 - c^2) + c (pi/2 + asin c)) / (2 pi)
    dual = (math.sqrt(1 - 0.16) + 0.4 * (math.pi / 2 + math.asin(0.4))) / (2 * math.pi)
    assert abs(float(result.agreements[0].certified) - dual) < 1e-15


def test_the_profile_table_is_that_of_relu(result):
    first, second = result.profile.layers
    assert (first.variance, first.nngp, first.ntk, second.ntk) == (2, 1, 1, 2)
    assert first.correlation_of_orthogonal == pytest.approx(1 / math.pi, rel=1e-14)
    assert result.profile.ntk[-1] == pytest.approx(3, rel=1e-14)  # K(1) = depth + 1


def test_prediction_and_experiment_meet_on_the_sphere(result):
    e = result.sphere
    assert (np.minimum(np.abs(e.z_scores) / 3, np.abs(e.relative_deviation) / 0.03) < 1).all()


def test_leave_one_out_meets_the_held_out_error_on_the_digits(result):
    m = result.digits.measured
    difference = np.abs(m.loo.mean - m.test_mse.mean)
    assert (difference < 3 * np.hypot(m.loo.standard_error, m.test_mse.standard_error)).all()
    assert (m.loo_over_gcv.mean > 1.1).all()  # and GCV does not


def test_progress_counts_the_steps(result, steps):
    done = [d for d, _, _ in steps]
    assert done == sorted(done) and done[0] == 0 and done[-1] == steps[0][1] == len(result.seconds)


def test_nothing_is_overwritten_and_a_seed_repeats(result, tmp_path):
    out = tmp_path / "tour"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    tiny = Scale(20, 8, (20,), 2, 0.1, (20,), 2, 60, 2, 15)
    runs = [tour.run("x", depth=1, w_var="3/2", out=out, seed=5, scale=tiny, progress=False) for _ in range(2)]
    assert [r.folder.name for r in runs] == ["tour-2", "tour-3"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tour", "tour-2", "tour-3"]
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    same = [json.loads(r.results.read_text()) for r in runs]
    for tree in same:
        del tree["seconds"], tree["gram"]
    assert same[0] == same[1]
    assert "never learned" in runs[0].report.read_text()  # an odd activation has no even degrees


def test_a_failed_tour_leaves_no_empty_folder(tmp_path, monkeypatch):
    def fail(*arguments):
        raise DomainError("no")

    monkeypatch.setattr(tour, "derivation", fail)
    with pytest.raises(DomainError):
        tour.run("relu", out=tmp_path / "tour", scale=SMALL, progress=False)
    assert list(tmp_path.iterdir()) == []


class Terminal:
    def __init__(self, live: bool) -> None:
        self.text, self.live = "", live

    def isatty(self) -> bool:
        return self.live

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_display():
    for live, expected in (
        (False, "[1/2] a: 1 s\n[2/2] b: 2 s\n"),
        (True, "\r[1/2] a …\r[1/2] a: 1 s\n\r[2/2] b …\r[2/2] b: 2 s\n"),
    ):
        stream = Terminal(live)
        show = Display(stream)
        for step in ((0, 2, "a …"), (1, 2, "a: 1 s"), (1, 2, "b …"), (2, 2, "b: 2 s")):
            show(*step)
        show.close()
        assert stream.text == expected
