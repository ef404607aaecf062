"""Between derivation and compilation: a closed form whose terms do not cancel where the dual is small.

The dual of a one-sided activation (0 on the left of 0, or on the right) vanishes towards rho = -1: E[u_+^n v_+^m] like
(1 + rho)^{(n+m+1)/2}. Its elementary formula there is a sum of terms that do not vanish. So each pair of one-sided
powers is left as one function, `rectified_moment`, which the compiler and the balls evaluate without that sum; all
other pairs of atoms are the engine's.
"""

from __future__ import annotations

import sympy as sp

from kernalg.gaussian.atoms import Atom, Atoms, from_pieces
from kernalg.gaussian.expectation import expectation
from kernalg.gaussian.pieces import Pieces
from kernalg.symbols import c, q1, q2, rectified_moment, x


def lowered_expectation(f: Pieces, g: Pieces) -> sp.Expr:
    """E[f(u) g(v)] in q1, q2, c, equal to `expectation`, with the moments of one-sided powers not written out.

    Where f or g is not one-sided it is `expectation`: in the dual of |x|, say, the moments of both sides would cancel
    near rho = 0.

    Examples
    --------
    >>> from kernalg.gaussian.pieces import pieces
    >>> relu, falling = pieces(sp.Max(x, 0)), pieces(sp.Max(-x, 0))
    >>> lowered_expectation(relu, relu), lowered_expectation(relu, falling)
    (rectified_moment(1, 1, q1, q2, c), rectified_moment(1, 1, q1, q2, -c))
    """
    f_mirrored, g_mirrored = _mirrored(f), _mirrored(g)
    if f_mirrored is None or g_mirrored is None:
        return expectation(from_pieces(f), from_pieces(g))
    left, right = (from_pieces(_reflect(h) if m else h) for h, m in ((f, f_mirrored), (g, g_mirrored)))
    left_powers, right_powers = _powers(left), _powers(right)
    moments = [
        a.coefficient * b.coefficient * rectified_moment(a.power, b.power, q1, q2, c)
        for a in left_powers
        for b in right_powers
    ]
    if not moments:
        return expectation(from_pieces(f), from_pieces(g))
    left_rest, right_rest = (tuple(a for a in atoms if a not in _powers(atoms)) for atoms in (left, right))
    total = sp.Add(*moments, expectation(left_rest, right), expectation(left_powers, right_rest))
    return total if f_mirrored == g_mirrored else total.subs(c, -c)


def _mirrored(f: Pieces) -> bool | None:
    """False for a function that begins with the branch 0, True for one that ends with it, None for any other."""
    if f.branches[0] == 0:
        return False
    return True if f.branches[-1] == 0 else None


def _reflect(f: Pieces) -> Pieces:
    """x -> f(-x)."""
    return Pieces(tuple(-p for p in reversed(f.breakpoints)), tuple(b.subs(x, -x) for b in reversed(f.branches)))


def _powers(atoms: Atoms) -> Atoms:
    """The atoms x^n H(x)."""
    return tuple(a for a in atoms if _is_power(a))


def _is_power(a: Atom) -> bool:
    gate = a.gate
    return (
        a.quadratic == 0 and a.linear == 0 and gate is not None and gate.is_step and gate.shift == 0 and gate.sign > 0
    )
