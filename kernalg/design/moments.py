r"""Whether all moments of a signed measure are >= 0: :math:`\sum_j\mu_j\rho_j^k\ge0` for every k, proved in balls."""

from __future__ import annotations

from typing import Any

from flint import arb, fmpq

_ONE_BY_ONE = 600
_MOST_STEPS = 2000


def as_float(r: Any) -> float:
    return int(r.p) / int(r.q) if isinstance(r, fmpq) else float(r)


def negative_moments(mu: list[arb], points: list[Any]) -> list[int]:
    """Some k at which sum mu_j rho_j^k >= 0 is not proved; none if it holds for every k >= 0."""
    first = max(points, key=lambda r: abs(as_float(r)))
    if first == 0:
        return [] if sum(mu, arb(0)) >= 0 else [0]
    top = abs(first)
    leading = [r is first or bool(abs(r) == top) for r in points]
    ratios = [arb(-1 if r < 0 else 1) if one else arb(r / top) for r, one in zip(points, leading, strict=True)]
    if not all(one or abs(r) < 1 for r, one in zip(ratios, leading, strict=True)):
        return [_ONE_BY_ONE]  # balls that overlap: which is the largest is open
    violated, terms = [], list(mu)
    for k in range(_ONE_BY_ONE):
        if not sum(terms, arb(0)) >= 0:
            violated.append(k)
        terms = [m * r for m, r in zip(terms, ratios, strict=True)]
    if violated:
        return violated
    sizes = [abs(r) for r in ratios]
    for parity in (0, 1):
        signed = [m if parity == 0 or not r < 0 else -m for m, r in zip(mu, ratios, strict=True)]
        violated += _negative_beyond(signed, sizes, parity)
    return violated


def _negative_beyond(weights: list[arb], sizes: list[arb], parity: int) -> list[int]:
    """The same for sum weights_j sizes_j^k over real k >= _ONE_BY_ONE, the largest size being 1.

    On [low, high] it is at least the positive terms at `high` plus the negative ones at `low`. Once the weight at size
    1 exceeds all others together, it is positive for good.
    """
    leader = sum((m for m, s in zip(weights, sizes, strict=True) if s == 1), arb(0))
    others = [(m, s.log()) for m, s in zip(weights, sizes, strict=True) if s < 1 and s > 0]
    if leader.is_zero() and not others:
        return []
    if not leader > 0:
        return [_ONE_BY_ONE + parity]

    def parts(k: int) -> tuple[arb, arb]:
        terms = [m * (log * k).exp() for m, log in others]
        return leader + sum((x for x in terms if x > 0), arb(0)), sum((x for x in terms if not x > 0), arb(0))

    low, steps = _ONE_BY_ONE, 0
    step = max(1, low // 8)
    up, down = parts(low)
    while True:
        if leader + down > 0:  # the negative terms only shrink in size from here on
            return []
        steps += 1
        if steps > _MOST_STEPS:
            return [low + (low + parity) % 2]
        next_up, next_down = parts(low + step)
        if next_up + down > 0:
            low, up, down, step = low + step, next_up, next_down, 2 * step
        elif step > 1:
            step //= 2
        elif up + down > 0 and next_up + next_down > 0:
            low, up, down = low + 1, next_up, next_down
        else:
            return [low + (low + parity) % 2]
