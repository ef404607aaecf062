"""Spaces of inputs: values, their texts, JSON, and the messages of bad input."""

import json
from fractions import Fraction

import pytest
import sympy as sp

from kernalg.errors import DomainError
from kernalg.spectrum.spaces import (
    Ball,
    Circle,
    GaussianInputs,
    Hypercube,
    ProductOfSpheres,
    Shells,
    Sphere,
    space_from_json,
    space_to_json,
)

SPACES = [
    (Sphere(50), "sphere S^49, d = 50"),
    (Circle, "sphere S^1, d = 2"),
    (Hypercube(14), "hypercube {-1, 1}^14"),
    (GaussianInputs(5), "Gaussian inputs, d = 5, variance 1"),
    (GaussianInputs(3, [1, 0.5, "1/4"]), "Gaussian inputs, d = 3, variances 1, 1/2, 1/4"),
    (GaussianInputs(8, range(1, 9)), "Gaussian inputs, d = 8, variances 1, 2, 3, 4, …, 8"),
    (ProductOfSpheres([8, 8, 4]), "product of spheres S^7 x S^7 x S^3"),
    (Ball(10, 0.5), "ball |x|^2 <= 5, d = 10"),
    (Shells(10, [1, 4], ["1/3", "2/3"]), "2 shells |x|^2/d = 1, 4, d = 10"),
]


@pytest.mark.parametrize(("space", "text"), SPACES)
def test_text_json_and_equality(space, text):
    assert str(space) == text
    again = space_from_json(json.loads(json.dumps(space_to_json(space))))
    assert again == space and hash(again) == hash(space) and repr(again) == repr(space)


def test_numbers_are_exact():
    assert GaussianInputs(2, [0.1, sp.Rational(1, 3)]).variances == (Fraction(1, 10), Fraction(1, 3))
    assert GaussianInputs(3, [2, 2, 2]) == GaussianInputs(3, 2) and GaussianInputs(3, 2).variances == (2, 2, 2)
    assert Shells(3, [1, 2]).probability == (Fraction(1, 2), Fraction(1, 2))
    # shortest decimals of thirds are made to add up to 1
    thirds = Shells(3, [1, 2, 3], [1 / 3, 1 / 3, 1 / 3]).probability
    assert sum(thirds) == 1
    assert Sphere(sp.Integer(4)).d == 4 and type(Sphere(sp.Integer(4)).d) is int


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Sphere(1), "d=1"),
        (lambda: Sphere(2.5), "d=2.5"),
        (lambda: Sphere(True), "d=True"),
        (lambda: Hypercube(0), "d=0"),
        (lambda: GaussianInputs(0), "d=0"),
        (lambda: GaussianInputs(2, 0), "positive"),
        (lambda: GaussianInputs(2, [1, -1]), r"variance\[1\]"),
        (lambda: GaussianInputs(3, [1, 1]), "2 numbers for d=3"),
        (lambda: GaussianInputs(2, float("nan")), "variance"),
        (lambda: GaussianInputs(2, "one"), "'one'"),
        (lambda: GaussianInputs(2, "1/0"), "1/0"),
        (lambda: ProductOfSpheres([]), "empty"),
        (lambda: ProductOfSpheres([3, 1]), r"dimensions\[1\]=1"),
        (lambda: ProductOfSpheres(3), "one dimension per sphere"),
        (lambda: ProductOfSpheres("33"), "one dimension per sphere"),
        (lambda: Ball(1), "d=1"),
        (lambda: Ball(3, -1), "q=-1"),
        (lambda: Shells(3, []), "different positive"),
        (lambda: Shells(3, [1, 1]), "different positive"),
        (lambda: Shells(3, 1), "q=1"),
        (lambda: Shells(3, [1, 2], [0.5, 0.4]), "add up to 0.9"),
        (lambda: Shells(3, [1, 2], [1]), "1 numbers"),
        (lambda: space_from_json({"type": "Torus", "d": 3}), "Torus"),
        (lambda: space_from_json({"type": "Sphere", "dimension": 3}), "Sphere"),
        (lambda: space_from_json({"type": "Sphere", "d": "3"}), "d='3'"),
        (lambda: space_from_json([3]), "JSON"),
        (lambda: space_from_json({}), "JSON"),
    ],
)
def test_messages_of_bad_input(call, words):
    with pytest.raises(DomainError, match=words):
        call()
