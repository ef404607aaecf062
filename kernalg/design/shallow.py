"""A deep network's kernel by one hidden layer: on the sphere depth adds nothing that an activation cannot do."""

from __future__ import annotations

from typing import Any

from kernalg.checks import whole_number
from kernalg.design.designed import Design
from kernalg.design.of_kernel import design
from kernalg.errors import DomainError
from kernalg.network.layers import Dense
from kernalg.network.network import Network


def shallow(net: Network, kind: str = "ntk", **options: Any) -> Design:
    r"""The activation whose one-hidden-layer network has exactly the kernel of a deep one, on \|x\|^2 = d.

    Every kernel of a network of fully connected layers is positive semi-definite on spheres of every dimension, so all
    its Taylor coefficients are >= 0 (Schoenberg 1942), and square roots of them make an activation (Simon, Anand,
    DeWeese 2022). Off the sphere the two kernels differ: `Design.radius_range` says how soon.

    Parameters
    ----------
    net : Network
    kind : {"ntk", "nngp"}
        The kernel that shall be the same.
    **options
        As for `design`: ``degree``, ``tolerance``, ``signs``, ``w_var``, ``b_var``, ``readout``, ``digits``.

    Examples
    --------
    >>> import kernalg as ka
    >>> deep = ka.mlp("relu", depth=4, w_var=2, b_var="1/100")
    >>> d = ka.shallow(deep, degree=200)
    >>> d.coefficients[:2]
    (1.21438513037018085245361430099, 0.665631081861496844518566113414)
    >>> d.degree_for(0.5)
    27
    >>> ka.parameter_count(deep, inputs=784, width=1024), ka.parameter_count(d, inputs=784, width=1024)
    (3953664, 803840)
    """
    if not isinstance(net, Network):
        raise DomainError(f"shallow({net!r}): give a network, as mlp('relu', depth=4) makes it")
    if kind not in ("nngp", "ntk"):
        raise DomainError(f"kind={kind!r}: the kernel is 'nngp' or 'ntk'")
    return design(net.ntk if kind == "ntk" else net.nngp, kind, **options)


def parameter_count(net: Network | Design, inputs: int, width: int, outputs: int = 1) -> int:
    """Weights and biases of a network of this width, or of a designed one; a bias variance of 0 means no biases.

    Examples
    --------
    >>> import kernalg as ka
    >>> parameter_count(ka.mlp("relu", depth=2, b_var=1), inputs=10, width=100)
    11300
    """
    d, n, m = (whole_number(name, v, 1) for name, v in (("inputs", inputs), ("width", width), ("outputs", outputs)))
    if not isinstance(net, Design | Network):
        raise DomainError(f"parameter_count({net!r}): give a network, mlp(…), or a design")
    if isinstance(net, Design):
        shape = net.architecture
        dense = [Dense(shape.w_var, shape.b_var), Dense(*shape.readout)]
    elif not isinstance(net, Network):
        raise DomainError(f"parameter_count({net!r}): give a network, as mlp('relu', depth=4) makes it, or a design")
    else:
        dense = [layer for layer in net.layers if isinstance(layer, Dense)]
    sizes = [d, *[n] * (len(dense) - 1), m]
    return sum(
        above * (below + (layer.b_var != 0)) for layer, below, above in zip(dense, sizes[:-1], sizes[1:], strict=True)
    )
