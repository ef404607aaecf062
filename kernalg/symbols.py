"""The variables of every formula, and the SymPy functions SymPy itself lacks.

============  =========================================================================
``x``         the activation's variable
``q1, q2``    variances of the Gaussian pair (u, v)
``c``         their covariance
``rho``       their correlation c / sqrt(q1 q2); on the sphere, the cosine of two inputs
============  =========================================================================
"""

from __future__ import annotations

from typing import Any

import sympy as sp

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
