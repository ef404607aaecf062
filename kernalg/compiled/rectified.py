"""Float64 code for E[u_+^n v_+^m], one function a pair of orders, without a branch so that loops over it vectorise.

With t = leg/(s + |c|) = tan(alpha/2), where alpha <= pi/2 is the angle whose cosine is |rho|, and y = t^2 in [0, 1],

* correlation -|rho|:  at unit variances the moment is C (2t)^(n+m+1) (1+y)^-n F(y) for n >= m, with
  F(y) = 2F1((1+m-n)/2, m+1; (n+m+3)/2; -y) between 1/2 and a few units, so relatively accurate down to rho = -1;
* correlation +|rho|:  E[u_+^n v^m] - (-1)^m times that, where the first is a polynomial in |rho| with positive
  coefficients, at least twice what is subtracted.

F is analytic but for y <= -1: about 22 Chebyshev coefficients on [0, 1] give it to 1e-17. Orders (0, 0) and (1, 1)
share an arctangent t (1 + y W(y)), because sin(alpha) - alpha cos(alpha) = 2 t y (1 - (1-y) W(y)) / (1+y): a ReLU
layer needs one polynomial for kernel and derivative, and LLVM sees that they are the same.

An error of s - |c|, at most 1.7e-16 s, is multiplied by (n+m+1)/2 / (1+rho) as rho -> -1. Where that exceeds 1e-13, the
functions return NaN, which asks for double-double.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import mpmath
import sympy as sp

_GUARD = 2.0**-11
_DIGITS = 50

_HEAD = """

@njit(error_model="numpy")
def {name}(c, s, leg):
    size = s + abs(c)
    unknown = (c < 0.0) & (leg < {guard!r} * size)
{body}
    return nan if unknown else (tail if c < 0.0 else {forward})
"""
# arctan(t) = t + t z W(z), z = t^2, after arctan(t) = pi/4 + arctan((t - 1)/(t + 1)) above tan(pi/8).
_ANGLE = """
shifted = leg > {corner!r} * size
t = (leg - size if shifted else leg) / (leg + size if shifted else size)
z = t * t
{horner}
angle = fma(t * z, w, t)
angle = {quarter!r} + angle if shifted else angle
"""


def name(n: int, m: int) -> str:
    """Of the function of these orders."""
    return f"rectified_{n}_{m}"


def text(orders: Sequence[tuple[int, int]]) -> str:
    """The functions of all these orders (n, m), n >= m."""
    return "".join(_function(n, m) for n, m in orders)


@cache
def _function(n: int, m: int) -> str:
    if (n, m) in ((0, 0), (1, 1)):
        body = [*_angle()]
        if n == 0:
            body.append(f"tail = angle * {1 / math.pi!r}")
            forward = "0.5 - tail"
        else:
            body += [
                "far = leg - 2.0 * abs(c) * angle",
                "near = leg * z * (1.0 - (1.0 - z) * w)",
                f"tail = (far if shifted else near) * {0.5 / math.pi!r}",
            ]
            forward = "0.5 * c + tail"
    else:
        parameters = mpmath.mpf(1 + m - n) / 2, m + 1, mpmath.mpf(n + m + 3) / 2
        series = _chebyshev(lambda y: mpmath.hyp2f1(*parameters, -y), 0.0, 1.0)
        constant = float(sp.N(tail_constant(n, m) * 2 ** (n + m + 1), 30))
        body = [
            "t = leg / size",
            "y = t * t",
            *_horner("w", "u", series, "u = y - 0.5"),
            "cosine = 1.0 / (1.0 + y)",
            "rho = (1.0 - y) * cosine",
            f"tail = {' * '.join([repr(constant), 'w', _power('t', n + m + 1), *_power_or_none('cosine', n)])}",
            *_horner("whole", "rho2", forward_coefficients(n, m), "rho2 = rho * rho"),
        ]
        scale = "".join(f" * {p}" for p in _power_or_none("s", m))
        body.append(f"tail = tail{scale}")
        forward = f"whole{' * rho + tail' if m % 2 else ' - tail'}"
        body.append(f"whole = whole{scale}")
    return _HEAD.format(
        name=name(n, m),
        body="\n".join("    " + line for line in body),
        guard=math.sqrt((n + m + 1) * _GUARD),
        forward=forward,
    )


def tail_constant(n: int, m: int) -> sp.Expr:
    """C: 2^{(n+m)/2} Gamma((n+m)/2 + 1) B(n+1, m+1) / (2 pi)."""
    ratio = sp.factorial(n) * sp.factorial(m) * sp.factorial2(n + m) / sp.factorial(n + m + 1)
    return ratio / (2 * sp.pi) if (n + m) % 2 == 0 else ratio / (2 * sp.sqrt(2 * sp.pi))


def forward_coefficients(n: int, m: int) -> list[float]:
    """E[u_+^n v^m] at unit variances: coefficients of rho^m, rho^(m-2), …, n >= m.

    v = rho u + sqrt(1 - rho^2) w with w independent of u; in powers of rho the coefficients are products of the Hermite
    coefficients of u_+^n and v^m, positive up to rho^n.
    """
    rho = sp.Symbol("rho")
    half_moment = sp.factorial2(n + m - 1) * (sp.S.Half if (n + m) % 2 == 0 else 1 / sp.sqrt(2 * sp.pi))
    total = sp.S.Zero
    for j in range(0, m + 1, 2):
        total += (
            sp.binomial(m, j)
            * sp.factorial2(j - 1)
            * rho ** (m - j)
            * (1 - rho**2) ** (j // 2)
            / (sp.factorial2(n + m - 1) / sp.factorial2(n + m - j - 1))
        )
    polynomial = sp.Poly(sp.expand(total), rho)
    return [float(sp.N(half_moment * polynomial.coeff_monomial(rho**k), 30)) for k in range(m, -1, -2)]


@cache
def _angle() -> tuple[str, ...]:
    """Statements for angle = arctan(leg/size), and w, z and shifted on the way."""
    corner = math.tan(math.pi / 8)
    horner = "\n".join(_horner("w", "u", _chebyshev(_arctangent, 0.0, corner**2), f"u = z - {corner**2 / 2!r}"))
    return tuple(_ANGLE.format(corner=corner, horner=horner, quarter=math.pi / 4).strip().splitlines())


def _arctangent(z: mpmath.mpf) -> mpmath.mpf:
    """W(z)."""
    t = mpmath.sqrt(z)
    return (mpmath.atan(t) / t - 1) / z


def _chebyshev(f: Callable[[mpmath.mpf], mpmath.mpf], low: float, high: float) -> list[float]:
    """Coefficients, highest first, of a polynomial in y - (low + high)/2 that is `f` on [low, high] to about 1e-17."""
    with mpmath.workdps(_DIGITS):
        centre, half = (mpmath.mpf(low) + high) / 2, (mpmath.mpf(high) - low) / 2
        for degree in range(8, 200):
            angles = [mpmath.pi * (j + mpmath.mpf(1) / 2) / (degree + 1) for j in range(degree + 1)]
            values = [f(centre + half * mpmath.cos(a)) for a in angles]
            ends = [_coefficient(values, angles, k) for k in (degree - 1, degree)]
            if max(map(abs, ends)) < mpmath.mpf(10) ** -17 * min(map(abs, values)):
                break
        # T_{k+1}(x) = 2 x T_k(x) - T_{k-1}(x)
        before, current = [mpmath.mpf(1)], [mpmath.mpf(0), 1 / half]
        total = [mpmath.mpf(0)] * (degree + 1)
        total[0] = _coefficient(values, angles, 0) / 2
        for k in range(1, degree + 1):
            weight = _coefficient(values, angles, k)
            for power, coefficient in enumerate(current):
                total[power] += weight * coefficient
            after = [mpmath.mpf(0), *(2 / half * a for a in current)]
            for power, coefficient in enumerate(before):
                after[power] -= coefficient
            before, current = current, after
        return [float(a) for a in reversed(total)]


def _coefficient(values: Sequence[mpmath.mpf], angles: Sequence[mpmath.mpf], k: int) -> mpmath.mpf:
    """Of T_k in the interpolating polynomial (twice it for k = 0)."""
    return 2 * sum(v * mpmath.cos(k * a) for v, a in zip(values, angles, strict=True)) / len(values)


def _horner(target: str, variable: str, coefficients: Sequence[float], *before: str) -> list[str]:
    lines = [*before, f"{target} = {coefficients[0]!r}"]
    return lines + [f"{target} = fma({target}, {variable}, {a!r})" for a in coefficients[1:]]


def _power(variable: str, n: int) -> str:
    """variable**n by squaring, as an expression."""
    if n == 1:
        return variable
    half = _power(variable, n // 2)
    return f"({half} * {half}{' * ' + variable if n % 2 else ''})"


def _power_or_none(variable: str, n: int) -> list[str]:
    return [_power(variable, n)] if n else []
