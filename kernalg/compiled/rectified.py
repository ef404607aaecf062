"""Float64 code for E[u_+^n v_+^m], one function a pair of orders, without a branch so that loops over it vectorise.

With t = leg/(s + |c|) = tan(alpha/2), where alpha <= pi/2 is the angle whose cosine is |rho|, and y = t^2 in [0, 1],

* correlation -|rho|:  at unit variances the moment is C (2t)^(n+m+1) (1+y)^-n F(y) for n >= m, with
  F(y) = 2F1((1+m-n)/2, m+1; (n+m+3)/2; -y) between 1/2 and a few units, so relatively accurate down to rho = -1;
* correlation +|rho|:  E[u_+^n v^m] - (-1)^m times that, where the first is a polynomial in |rho| with positive
  coefficients, at least twice what is subtracted.

F is analytic but for y <= -1: about 22 Chebyshev coefficients on [0, 1] give it to 1e-17. Orders (0, 0) and (1, 1)
share W in arctan(t) = t (1 + y W(y)), because sin(alpha) - alpha cos(alpha) = 2 t y (1 - (1-y) W(y)) / (1+y): a ReLU
layer needs one polynomial for kernel and derivative, and LLVM sees that they are the same.

An error of s - |c|, a few units of s, is multiplied by (n+m+1)/(1+rho) as rho -> -1. Where that exceeds 2^11 units the
functions return NaN, which asks for double-double.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import mpmath
import sympy as sp

_GUARD = 2.0**-10
_DIGITS = 50

_HEAD = '''

@njit(error_model="numpy")
def {name}(c, s, leg):
    t = leg / (s + abs(c))
    y = t * t
    u = y - 0.5
{body}
    unknown = (c < 0.0) & (y < {guard!r})
    return nan if unknown else (tail if c < 0.0 else {forward})
'''


def name(n: int, m: int) -> str:
    """Of the function of these orders."""
    return f"rectified_{n}_{m}"


def text(orders: Sequence[tuple[int, int]]) -> str:
    """The functions of all these orders (n, m), n >= m."""
    return "".join(_function(n, m) for n, m in orders)


@cache
def _function(n: int, m: int) -> str:
    if (n, m) in ((0, 0), (1, 1)):
        body = _horner("w", "u", _chebyshev(_arctangent))
        if n == 0:
            body.append(f"tail = t * fma(y, w, 1.0) * {float(1 / sp.pi.n(30))!r}")
            forward = "0.5 - tail"
        else:
            body.append(f"tail = leg * y * (1.0 - (1.0 - y) * w) * {float(1 / (2 * sp.pi).n(30))!r}")
            forward = "0.5 * c + tail"
    else:
        parameters = mpmath.mpf(1 + m - n) / 2, m + 1, mpmath.mpf(n + m + 3) / 2
        body = _horner("w", "u", _chebyshev(lambda y: mpmath.hyp2f1(*parameters, -y)))
        constant = float(sp.N(tail_constant(n, m) * 2 ** (n + m + 1), 30))
        body += [
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
        name=name(n, m), body="\n".join("    " + line for line in body), guard=(n + m + 1) * _GUARD, forward=forward
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
        total += sp.binomial(m, j) * sp.factorial2(j - 1) * rho ** (m - j) * (1 - rho**2) ** (j // 2) / (
            sp.factorial2(n + m - 1) / sp.factorial2(n + m - j - 1)
        )
    polynomial = sp.Poly(sp.expand(total), rho)
    return [float(sp.N(half_moment * polynomial.coeff_monomial(rho**k), 30)) for k in range(m, -1, -2)]


def _arctangent(y: mpmath.mpf) -> mpmath.mpf:
    """W(y)."""
    t = mpmath.sqrt(y)
    return (mpmath.atan(t) / t - 1) / y


def _chebyshev(f: Callable[[mpmath.mpf], mpmath.mpf]) -> list[float]:
    """Coefficients, highest first, of a polynomial in y - 1/2 that is `f` on [0, 1] to about 1e-17."""
    with mpmath.workdps(_DIGITS):
        for degree in range(16, 200, 6):
            angles = [mpmath.pi * (j + mpmath.mpf(1) / 2) / (degree + 1) for j in range(degree + 1)]
            values = [f((1 + mpmath.cos(a)) / 2) for a in angles]
            weights = [
                2 * sum(v * mpmath.cos(k * a) for v, a in zip(values, angles, strict=True)) / (degree + 1)
                for k in range(degree + 1)
            ]
            weights[0] /= 2
            if max(abs(weights[-1]), abs(weights[-2])) < mpmath.mpf(10) ** -18 * min(abs(v) for v in values):
                break
        # T_{k+1}(x) = 2 x T_k(x) - T_{k-1}(x) at x = 2u
        before, current = [mpmath.mpf(1)], [mpmath.mpf(0), mpmath.mpf(2)]
        total = [mpmath.mpf(0)] * (degree + 1)
        total[0] = weights[0]
        for weight in weights[1:]:
            for power, coefficient in enumerate(current):
                total[power] += weight * coefficient
            after = [mpmath.mpf(0), *(4 * a for a in current)]
            for power, coefficient in enumerate(before):
                after[power] -= coefficient
            before, current = current, after
        return [float(a) for a in reversed(total)]


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
