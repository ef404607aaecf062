"""Which kernel, and on which inputs: the options that `kernalg spectrum` and `kernalg curve` share."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from kernalg.errors import DomainError

if TYPE_CHECKING:
    from kernalg.spectrum.spaces import Space
    from kernalg.spectrum.spectrum import Spectrum

KERNEL_HELP = """\
KERNEL is an activation, by name or by formula in x (the tangent kernel of a network of it), or a formula in rho, the
cosine of two inputs (that kernel itself)."""

_HIDDEN: dict[str, Any] = {"depth": 3, "w_var": "2", "b_var": "0"}


def add_kernel(parser: argparse.ArgumentParser) -> None:
    """KERNEL and the options that say which kernel is meant."""
    parser.add_argument("kernel", metavar="KERNEL", help='such as relu, "x*exp(-x**2)" or "exp(2*(rho-1))"')
    group = parser.add_argument_group("kernel")
    group.add_argument(
        "--kind",
        choices=("ntk", "nngp", "formula", "rbf"),
        help="tangent kernel or Gaussian-process kernel of a network, a formula in rho, or exp(-|x-x'|^2/(2 KERNEL)) "
        "with a number (default: formula if rho occurs in KERNEL, otherwise ntk)",
    )
    group.add_argument("--depth", type=int, metavar="L", help=f"hidden layers (default: {_HIDDEN['depth']})")
    group.add_argument(
        "--w-var",
        metavar="V",
        help=f"weight variance of the hidden layers, an exact number such as 2 or 7/4 (default: {_HIDDEN['w_var']})",
    )
    group.add_argument("--b-var", metavar="V", help=f"bias variance of the hidden layers (default: {_HIDDEN['b_var']})")


def add_space(parser: argparse.ArgumentParser) -> None:
    """The options that say where the inputs live, and up to which degree the spectrum is computed."""
    group = parser.add_argument_group("inputs")
    group.add_argument(
        "--space",
        type=lambda name: "cube" if name == "hypercube" else name,
        choices=tuple(_SPACES),
        default="sphere",
        help="sphere: |x|^2 = d; circle: the sphere in 2 dimensions; cube: {-1,1}^d; gaussian: independent N(0, 1) "
        "coordinates; ball: |x|^2 <= d; product: blocks of x on spheres, with a formula in rho1, rho2, ... (default: "
        "sphere)",
    )
    group.add_argument(
        "-d", "--dimension", metavar="D", help="of the inputs: x is in R^D; of a product, one per sphere, as in 8,8,4"
    )
    group.add_argument("--variance", metavar="V", help="of the coordinates of gaussian inputs (default: 1)")
    group.add_argument("--degree", type=int, default=20, metavar="K", help="largest degree (default: 20)")


def kernel_of(arguments: argparse.Namespace) -> tuple[Any, str]:
    """The kernel that was asked for, and what it is in words."""
    text = arguments.kernel
    kind = arguments.kind or ("formula" if re.search(r"\brho\d*\b", text) else "ntk")
    if arguments.space == "product" and kind != "formula":
        raise DomainError(f'{text} is not a formula in rho1, rho2, ..., as kernels on products are: "exp(rho1*rho2)"')
    if kind in _WITHOUT_LAYERS:
        given = [f"--{name.replace('_', '-')}" for name in _HIDDEN if getattr(arguments, name) is not None]
        if given:
            raise DomainError(
                f"{' and '.join(given)}: {_WITHOUT_LAYERS[kind]} has no layers; leave it out, or give --kind ntk"
            )
    if arguments.space == "product":
        from kernalg.network.product_kernel import product_kernel

        return product_kernel(text, _dimensions(arguments)), text
    if kind == "formula":
        from kernalg.network.dot_product import dot_product_kernel

        return dot_product_kernel(text), text
    if kind == "rbf":
        from kernalg.network.radial_basis import rbf_kernel

        return rbf_kernel(text), f"exp(-|x-x'|^2/(2 l2)), l2 = {text}"
    from kernalg.network.network import mlp

    hidden = {name: d if (v := getattr(arguments, name)) is None else v for name, d in _HIDDEN.items()}
    network = mlp(text, **hidden)
    layers = f"{hidden['depth']} hidden layer{'s' * (hidden['depth'] != 1)}"
    words = f"{kind.upper()} of {text}, {layers}, w_var {hidden['w_var']}, b_var {hidden['b_var']}"
    return (network.ntk if kind == "ntk" else network.nngp), words


def space_of(arguments: argparse.Namespace) -> Space:
    """The space of inputs that was asked for."""
    from kernalg.spectrum import spaces

    name, variance = arguments.space, arguments.variance
    if variance is not None and name != "gaussian":
        raise DomainError(f"--variance is of gaussian inputs, and --space is {name}: leave it out")
    if name == "circle" and arguments.dimension is None:
        return spaces.Circle
    dimensions = _dimensions(arguments)
    if name == "product":
        return spaces.ProductOfSpheres(dimensions)
    if len(dimensions) > 1:
        raise DomainError(f"--dimension {arguments.dimension}: the {name} has one; several are for --space product")
    d = dimensions[0]
    if name == "circle":
        if d != 2:
            raise DomainError(f"the circle has dimension 2, not {d}: leave --dimension out, or take --space sphere")
        return spaces.Circle
    if name == "gaussian":
        return spaces.GaussianInputs(d) if variance is None else spaces.GaussianInputs(d, variance)
    space: Space = getattr(spaces, _SPACES[name])(d)
    return space


def _dimensions(arguments: argparse.Namespace) -> tuple[int, ...]:
    given = arguments.dimension
    if given is None:
        raise DomainError("--dimension is missing: in how many dimensions do the inputs live? For example -d 50")
    try:
        return tuple(int(part) for part in given.split(","))
    except ValueError:
        raise DomainError(
            f"--dimension {given!r}: a whole number such as 50 is needed (for a product, 8,8,4)"
        ) from None


def spectrum_of(arguments: argparse.Namespace, K: Any, space: Space) -> Spectrum:
    """The spectrum up to --degree, to --digits or --exact where the command has them."""
    from kernalg.cli.waiting import waiting
    from kernalg.spectrum.of_kernel import spectrum

    digits, exact = getattr(arguments, "digits", None), getattr(arguments, "exact", False)
    with waiting("computing the spectrum", arguments.progress):
        return spectrum(K, space, arguments.degree, digits, exact=exact)


_WITHOUT_LAYERS = {"formula": "a formula in rho", "rbf": "the Gaussian kernel"}
_SPACES = {
    "sphere": "Sphere",
    "circle": "Circle",
    "cube": "Hypercube",
    "gaussian": "GaussianInputs",
    "ball": "Ball",
    "product": "ProductOfSpheres",
}
