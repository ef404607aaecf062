"""`spectrum(K, space)`: the one door; each space has its own room behind it."""

from __future__ import annotations

from importlib import import_module
from types import FunctionType
from typing import Any

from kernalg.checks import whole_number
from kernalg.errors import DomainError, NoClosedForm
from kernalg.spectrum.spaces import SPACE_TYPES, Hypercube, Space, Sphere
from kernalg.spectrum.spectrum import Spectrum

# Where the spectrum on each space is computed: module, function. A room is imported when it is needed.
_ROOMS = {
    "Sphere": ("sphere", "sphere_spectrum"),
    "Hypercube": ("cube", "cube_spectrum"),
    "GaussianInputs": ("gaussian_inputs", "gaussian_spectrum"),
    "ProductOfSpheres": ("product", "product_spectrum"),
    "Ball": ("radial", "radial_spectrum"),
    "Shells": ("radial", "radial_spectrum"),
}

# Of kernels whose eigenvalues have a formula; other kernels reach less, each space says how far.
_MOST_DEGREES = 100_000


def spectrum(K: Any, space: Space, degree: int = 20, digits: int | None = None, *, exact: bool = False) -> Spectrum:
    """Eigenvalues of a kernel under the distribution of its inputs, level by level.

    Parameters
    ----------
    K : Kernel or Profile
        The kernel of a network, ``mlp("relu", depth=3).ntk``, a kernel of your own, ``dot_product_kernel("exp(rho)")``,
        ``rbf_kernel(4)``, ``product_kernel("exp(rho1*rho2)", [8, 4])``, or a profile.
    space : Space
        The inputs: ``Sphere(d)`` (|x|^2 = d), ``Circle``, ``Hypercube(d)``, ``GaussianInputs(d, variance)``,
        ``ProductOfSpheres(dimensions)``, ``Ball(d)``, ``Shells(d, q)``.
    degree : int
        Largest degree. The hypercube has no more than d; under Gaussian inputs of different variances it is the
        degree in the coordinate of largest variance, and all eigenvalues down to that one are listed.
    digits : int, optional
        Certified significant digits of every eigenvalue, in `Spectrum.exact`. Without it the eigenvalues are good to
        double precision, with an error estimate each.
    exact : bool
        Eigenvalues as fractions, in `Spectrum.exact`: for polynomial kernels with rational coefficients.

    Returns
    -------
    Spectrum

    Raises
    ------
    DomainError
        If the kernel is not one of this space or not positive semi-definite there, or a number is out of range.
    PrecisionError
        If the accuracy is not reached.
    NoClosedForm
        If an activation of the network jumps and has no closed form (floor), and for activations without one (tanh)
        where the space needs a formula: `empirical_spectrum` works for these.

    Examples
    --------
    >>> import kernalg as ka
    >>> s = ka.spectrum(ka.dot_product_kernel("exp(rho)"), ka.Sphere(3), degree=2)
    >>> s.eigenvalues  # lambda_0 = sinh(1)
    array([1.17520119, 0.36787944, 0.07156287])
    >>> s.multiplicities, s.level_power.round(6), round(s.tail, 6)  # the levels and the tail add up to K(1) = e
    ((1, 3, 5), array([1.175201, 1.103638, 0.357814]), 0.081628)
    >>> ka.spectrum(ka.dot_product_kernel("(1 + rho)**2/4"), ka.Sphere(3), degree=3, exact=True).exact
    (1/3, 1/6, 1/30, 0)
    """
    if not isinstance(space, SPACE_TYPES):
        names = ", ".join(_ROOMS)
        raise DomainError(f"space={space!r}: give a space of inputs, as in Sphere(10); there are {names}.")
    if exact and digits is not None:
        raise DomainError(f"exact=True gives fractions, which have no digits={digits}: ask for one or the other.")
    if isinstance(space, Sphere | Hypercube) and callable(getattr(K, "on_sphere", None)):
        K = K.on_sphere(space.d)  # where all norms are equal, a kernel of the distance is one of the cosine
    _refuse_what_makes_a_kernel(K)
    if not isinstance(exact, bool):
        raise DomainError(f"exact={exact!r}: True or False is needed")
    degree = whole_number("degree", degree, 0)
    if degree > _MOST_DEGREES and not isinstance(space, Hypercube):  # on a hypercube, more degrees than d are d
        raise DomainError(f"degree={degree}: at most {_MOST_DEGREES} degrees are computed.")
    module, name = _ROOMS[type(space).__name__]
    room = getattr(import_module(f"kernalg.spectrum.{module}"), name)
    try:
        result: Spectrum = room(K, space, degree, digits, exact)
    except NoClosedForm as error:
        raise NoClosedForm(f"{error}. On data its eigenvalues are to be had: empirical_spectrum(K, X)") from error
    return result


def _refuse_what_makes_a_kernel(K: Any) -> None:
    """Formulas, activations and networks are no kernels yet: say which step is missing."""
    if isinstance(K, str):
        raise DomainError(
            f"K={K!r} is a text: give dot_product_kernel({K!r}) for a formula in rho, or mlp({K!r}, depth=3).ntk for "
            "an activation"
        )
    from kernalg.activation.activation import Activation
    from kernalg.activation.dual import Dual
    from kernalg.network.network import Network

    if isinstance(K, Network):
        raise DomainError("K is a network, which has two kernels: give its .ntk or its .nngp")
    if isinstance(K, Activation | Dual):
        raise DomainError(
            "K is an activation or its dual: give the kernel of a network of it, as in mlp('relu', depth=1).nngp"
        )
    if isinstance(K, FunctionType):
        raise DomainError(
            "K is a Python function: give its formula, as in dot_product_kernel('exp(rho)'), or points, "
            "empirical_spectrum(K, X)"
        )
