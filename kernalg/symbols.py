"""The variables of every formula, and the SymPy functions SymPy itself lacks.

============  =========================================================================
``x``         the activation's variable
``q1, q2``    variances of the Gaussian pair (u, v)
``c``         their covariance
``rho``       their correlation c / sqrt(q1 q2); on the sphere, the cosine of two inputs
============  =========================================================================
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import sympy as sp
from sympy.core.function import ArgumentIndexError

from kernalg.errors import DomainError

x = sp.Symbol("x", real=True)
q1, q2 = sp.symbols("q1 q2", positive=True)
c = sp.Symbol("c", real=True)
rho = sp.Symbol("rho", real=True)


def normal_density(t: Any) -> sp.Expr:
    """Density of N(0, 1) at `t`."""
    t = sp.S(t)
    return sp.exp(-(t**2) / 2) / sp.sqrt(2 * sp.pi)


def bivariate_normal_density(h: Any, k: Any, r: Any) -> sp.Expr:
    """Density at (h, k) of a standard normal pair of correlation `r`."""
    h, k, r = sp.S(h), sp.S(k), sp.S(r)
    return sp.exp(-(h**2 - 2 * r * h * k + k**2) / (2 * (1 - r**2))) / (2 * sp.pi * sp.sqrt(1 - r**2))


class normal_cdf(sp.Function):
    r"""Standard normal distribution function :math:`\Phi(z) = P(Z \le z)`."""

    nargs = 1

    @classmethod
    def eval(cls, z: sp.Expr) -> sp.Expr | None:
        if z.is_zero:
            return sp.S.Half
        if z is sp.oo:
            return sp.S.One
        if z is -sp.oo:
            return sp.S.Zero
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return normal_density(self.args[0])

    def _eval_is_extended_real(self) -> bool | None:
        return self.args[0].is_extended_real

    def _eval_rewrite_as_erf(self, z: sp.Expr, **_: Any) -> sp.Expr:
        return (1 + sp.erf(z / sp.sqrt(2))) / 2

    def _eval_evalf(self, prec: int) -> sp.Expr:
        return self._eval_rewrite_as_erf(self.args[0])._eval_evalf(prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        power = f"^{{{exp}}}" if exp else ""
        return rf"\Phi{power}\left({printer._print(self.args[0])}\right)"


class bivariate_normal_cdf(sp.Function):
    r"""Standard bivariate normal distribution function :math:`\Phi_2(h, k, r) = P(Z_1 \le h, Z_2 \le k)`, corr r.

    At the origin it is elementary (Sheppard 1899): :math:`\Phi_2(0,0,r) = 1/4 + \arcsin(r)/(2\pi)`.
    """

    nargs = 3

    @classmethod
    def eval(cls, h: sp.Expr, k: sp.Expr, r: sp.Expr) -> sp.Expr | None:
        if h.is_zero and k.is_zero:
            return sp.Rational(1, 4) + sp.asin(r) / (2 * sp.pi)
        if r.is_zero:
            return normal_cdf(h) * normal_cdf(k)
        # Symmetric in (h, k): one spelling only.
        if sp.default_sort_key(k) < sp.default_sort_key(h):
            return cls(k, h, r)
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        h, k, r = self.args
        if argindex == 1:
            return normal_density(h) * normal_cdf((k - r * h) / sp.sqrt(1 - r**2))
        if argindex == 2:
            return normal_density(k) * normal_cdf((h - r * k) / sp.sqrt(1 - r**2))
        return bivariate_normal_density(h, k, r)

    def _eval_is_extended_real(self) -> bool | None:
        return True if all(a.is_extended_real for a in self.args) else None

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        """Plackett's integral with r = sin(theta); certified digits come from `kernalg.enclosure` instead."""
        import mpmath

        values = [a._evalf(prec + 10) for a in self.args]
        if not all(v.is_Float or v.is_Rational for v in values):
            return None
        with mpmath.workprec(prec + 10):
            h, k, r = (mpmath.mpf(v._mpf_) if v.is_Float else mpmath.mpf(v.p) / v.q for v in values)
            integral = mpmath.quad(
                lambda s: mpmath.exp(-(h * h + k * k - 2 * h * k * mpmath.sin(s)) / (2 * mpmath.cos(s) ** 2)),
                [0, mpmath.asin(r) / 2, mpmath.asin(r)],
            )
            value = mpmath.ncdf(h) * mpmath.ncdf(k) + integral / (2 * mpmath.pi)
        return sp.Float(value, precision=prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        power = f"^{{{exp}}}" if exp else ""
        h, k, r = (printer._print(a) for a in self.args)
        return rf"\Phi_2{power}\left({h}, {k}; {r}\right)"


class rectified_moment(sp.Function):
    r"""E[u_+^n v_+^m] for a centred Gaussian pair: ``rectified_moment(n, m, q1, q2, c)``, orders n, m > -1, 0^0 = 0.

    With rho = c/sqrt(q1 q2), psi = arccos(-rho), z = (1 + rho)/2 and R = 2^{(n+m)/2} Gamma((n+m)/2 + 1)/(2 pi), polar
    coordinates give the wedge

    .. math:: q_1^{n/2} q_2^{m/2} R \int_0^\psi \sin^n t \, \sin^m(\psi - t) \, dt
        = q_1^{n/2} q_2^{m/2} R \, B(n+1, m+1) \, (4z)^{(n+m+1)/2}
          {}_2F_1\left(\tfrac{1+m-n}{2}, \tfrac{1+n-m}{2}; \tfrac{n+m+3}{2}; z\right).

    ``sympy.expand_func`` writes it in elementary functions when the orders are integers. That form is a sum whose terms
    cancel towards rho = -1, where the value vanishes like (1 + rho)^{(n+m+1)/2}; this one does not cancel.

    Examples
    --------
    >>> sp.expand_func(rectified_moment(1, 1, q1, q2, c))
    c*(asin(c/(sqrt(q1)*sqrt(q2)))/(2*pi) + 1/4) + sqrt(-c**2 + q1*q2)/(2*pi)
    >>> rectified_moment(2, 2, q1, q2, c).diff(c)
    4*rectified_moment(1, 1, q1, q2, c)
    """

    nargs = 5

    @classmethod
    def eval(cls, n: sp.Expr, m: sp.Expr, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr) -> sp.Expr | None:
        for order in (n, m):
            if order.is_number and not (order + 1).is_positive:
                raise DomainError(f"rectified_moment of order {order}: the moment is finite for orders above -1")
        if (m - n).is_positive:
            return cls(m, n, v2, v1, cov)  # one spelling only
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """In c by Price's theorem; in a variance by that and homogeneity, 2 q1 d/dq1 + c d/dc = n."""
        n, m, v1, v2, cov = self.args
        if argindex < 3:
            raise ArgumentIndexError(self, argindex)
        gap = v1 * v2 - cov**2
        if not n.is_zero and not m.is_zero:
            in_c = n * m * rectified_moment(n - 1, m - 1, v1, v2, cov)
        elif n.is_zero and m.is_zero:
            in_c = 1 / (2 * sp.pi * sp.sqrt(gap))
        else:  # m = 0: the density of v at 0 times E[u_+^{n-1} | v = 0]
            in_c = n * (gap / v2) ** ((n - 1) / 2) * half_moment(n - 1) / sp.sqrt(2 * sp.pi * v2)
        if argindex == 5:
            return in_c
        order, variance = (n, v1) if argindex == 3 else (m, v2)
        return (order * self - cov * in_c) / (2 * variance)

    def _eval_expand_func(self, **_: Any) -> sp.Expr:
        n, m, v1, v2, cov = self.args
        if not (n.is_Integer and m.is_Integer and (n - m).is_nonnegative):
            return self
        factor, rest = _elementary(int(n), int(m), v1, v2, cov)
        probability = sp.Rational(1, 4) + sp.asin(cov / (sp.sqrt(v1) * sp.sqrt(v2))) / (2 * sp.pi)
        return sp.expand(factor) * probability + rest

    def _eval_is_extended_nonnegative(self) -> bool | None:
        return True if all(a.is_extended_real for a in self.args) else None

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        import mpmath

        values = [a._evalf(prec + 10) for a in self.args]
        if not all(v.is_Float or v.is_Rational for v in values):
            return None
        with mpmath.workprec(prec + 10):
            n, m, v1, v2, cov = (mpmath.mpf(v._mpf_) if v.is_Float else mpmath.mpf(v.p) / v.q for v in values)
            z = (1 + cov / mpmath.sqrt(v1 * v2)) / 2
            half = (n + m) / 2
            wedge = mpmath.beta(n + 1, m + 1) * (4 * z) ** (half + 0.5)
            wedge *= mpmath.hyp2f1((1 + m - n) / 2, (1 + n - m) / 2, half + 1.5, z)
            value = v1 ** (n / 2) * v2 ** (m / 2) * 2**half * mpmath.gamma(half + 1) / (2 * mpmath.pi) * wedge
        return sp.Float(value, precision=prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        n, m, v1, v2, cov = (printer._print(a) for a in self.args)
        body = rf"\mathbb{{E}}\left[u_+^{{{n}}} v_+^{{{m}}}\right]_{{{v1}, {v2}, {cov}}}"
        return body if exp is None else rf"\left({body}\right)^{{{exp}}}"


def half_moment(order: sp.Expr) -> sp.Expr:
    """E[Z_+^order] of a standard Gaussian, 1/2 for order 0."""
    return 2 ** (order / 2 - 1) * sp.gamma((order + 1) / 2) / sp.sqrt(sp.pi)


@lru_cache(maxsize=4096)
def _elementary(n: int, m: int, v1: sp.Expr, v2: sp.Expr, cov: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(A, B) with E[u_+^n v_+^m] = A P(u > 0, v > 0) + B for n >= m, by Stein's recursion.

    For m >= 1 in v, whose boundary term needs v = 0 with v's last power; for m = 0 in u, where v's step has one.
    """
    gap = v1 * v2 - cov**2
    given_v = (gap / v2, sp.sqrt(v2) / sp.sqrt(2 * sp.pi))  # variance of u given v = 0; v2 times the density of v at 0

    def moment_at_zero(order: int) -> sp.Expr:
        return given_v[0] ** sp.Rational(order, 2) * half_moment(sp.Integer(order))

    if n == 0:
        return sp.S.One, sp.S.Zero
    if m:
        lower = [(n * cov, n - 1, m - 1), ((m - 1) * v2, n, m - 2)]
        boundary = given_v[1] * moment_at_zero(n) if m == 1 else sp.S.Zero
    else:
        lower = [((n - 1) * v1, n - 2, 0)]
        boundary = cov / v2 * given_v[1] * moment_at_zero(n - 1)
        if n == 1:
            boundary += sp.sqrt(v1) / sp.sqrt(2 * sp.pi) / 2
    factor, rest = sp.S.Zero, boundary
    for weight, i, j in lower:
        if i >= 0 and j >= 0 and weight != 0:
            a, b = _elementary(i, j, v1, v2, cov)
            factor, rest = factor + weight * a, rest + weight * b
    return factor, rest


class dawson(sp.Function):
    r"""Dawson's function :math:`F(z) = e^{-z^2}\int_0^z e^{t^2}\,dt`."""

    nargs = 1

    @classmethod
    def eval(cls, z: sp.Expr) -> sp.Expr | None:
        if z.is_zero:
            return sp.S.Zero
        if z.could_extract_minus_sign():
            return -cls(-z)
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return 1 - 2 * self.args[0] * self

    def _eval_is_extended_real(self) -> bool | None:
        return self.args[0].is_extended_real

    def _eval_rewrite_as_erfi(self, z: sp.Expr, **_: Any) -> sp.Expr:
        return sp.sqrt(sp.pi) / 2 * sp.exp(-(z**2)) * sp.erfi(z)

    def _eval_evalf(self, prec: int) -> sp.Expr:
        return self._eval_rewrite_as_erfi(self.args[0])._eval_evalf(prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        power = f"^{{{exp}}}" if exp else ""
        return rf"\operatorname{{F}}{power}\left({printer._print(self.args[0])}\right)"
