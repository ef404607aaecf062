r"""LaTeX formulas as SVG paths, through matplotlib's mathtext: they show without a network, a font or a script.

mathtext knows a large part of LaTeX's mathematics but no environments (``cases``, ``aligned``). A formula it cannot
read is shown as its source.

>>> formula(r"\frac{1}{2}").startswith("<svg")
True
>>> formula(r"\begin{cases} 1 \end{cases}")
'<code>\\begin{cases} 1 \\end{cases}</code>'
"""

from __future__ import annotations

import html
import importlib
import re
from collections.abc import Sequence
from functools import lru_cache

import sympy as sp

_SIZE = 20.0  # points at which paths are made; the picture is scaled to the text by its height in em
_EM = _SIZE * 0.94  # Computer Modern is small for its size: letters match those of the text around them
_LINE = 34.0  # em: longer sums are broken


@lru_cache(maxsize=512)
def formula(latex: str) -> str:
    """One line of mathematics as an inline SVG in the colour and size of the text around it."""
    try:
        path, width, top, bottom = _path(latex)
    except ValueError:
        return f"<code>{html.escape(latex)}</code>"
    height = top - bottom
    return (
        f'<svg class="math" role="img" aria-label="{html.escape(latex)}" viewBox="0 0 {width:.1f} {height:.1f}" '
        f'style="width:{width / _EM:.2f}em;height:{height / _EM:.2f}em;vertical-align:{bottom / _EM:.2f}em">'
        f'<path fill="currentColor" d="{path}"/></svg>'
    )


def display(latex: str | Sequence[str]) -> str:
    """A displayed formula of one or more lines, with its LaTeX source to copy."""
    lines = [latex] if isinstance(latex, str) else list(latex)
    rows = "".join(f"<div>{formula(line)}</div>" for line in lines)
    source = html.escape(" \\\\\n".join(lines))
    return (
        f'<figure class="formula"><div class="scroll">{rows}</div>'
        f"<details><summary>LaTeX</summary><pre>{source}</pre></details></figure>"
    )


def equation(left: str, right: sp.Expr) -> list[str]:
    """`left` = `right`, its top-level sum broken over as many lines as the width of a page asks for."""
    if isinstance(right, sp.Piecewise):
        cases = [
            sp.latex(e) + (r"\quad\mathrm{otherwise}" if c is sp.true else rf"\quad\mathrm{{if}}\ {sp.latex(c)}")
            for e, c in right.args
        ]
        return [f"{left} = {cases[0]}", *(rf"\qquad {case}" for case in cases[1:])]
    if width(left) > _LINE / 2:
        return [left, *_broken(r"\qquad", right)]
    return _broken(left, right)


def _broken(left: str, right: sp.Expr) -> list[str]:
    whole = f"{left} = {sp.latex(right)}"
    if not isinstance(right, sp.Add) or width(whole) <= _LINE:
        return [whole]
    lines, current = [], f"{left} ="
    for i, term in enumerate(right.as_ordered_terms()):
        text = sp.latex(term)
        piece = f" {text}" if i == 0 or text.startswith("-") else f" + {text}"
        if i and width(current + piece) > _LINE:
            lines.append(current)
            current = r"\quad" + piece
        else:
            current += piece
    return [*lines, current]


def width(latex: str) -> float:
    """Width in em of a formula; of a guess where mathtext cannot read it."""
    try:
        return _path(latex)[1] / _EM
    except ValueError:
        return 0.5 * len(latex)


@lru_cache(maxsize=512)
def _path(latex: str) -> tuple[str, float, float, float]:
    """SVG path data with y downwards from the top, width, height above the baseline, and (negative) depth."""
    text_path = importlib.import_module("matplotlib.textpath")
    fonts = importlib.import_module("matplotlib.font_manager")
    made = text_path.TextPath(
        (0, 0), f"${_readable(latex)}$", size=_SIZE, prop=fonts.FontProperties(math_fontfamily="cm"), usetex=False
    )
    box = made.get_extents()
    top, bottom = max(box.y1, 0.0) + 1, min(box.y0, 0.0) - 1
    parts = []
    letters = {1: "M", 2: "L", 3: "Q", 4: "C"}  # matplotlib.path.Path.MOVETO, LINETO, CURVE3, CURVE4
    for points, code in made.iter_segments(simplify=False, curves=True):
        if code == 79:  # CLOSEPOLY
            parts.append("Z")
            continue
        numbers = [
            f"{value - box.x0 + 1 if i % 2 == 0 else top - value:.1f}".removesuffix(".0")
            for i, value in enumerate(points)
        ]
        parts.append(letters[int(code)] + " ".join(numbers))
    return "".join(parts), box.x1 - box.x0 + 2, top, bottom


def _readable(latex: str) -> str:
    """SymPy's LaTeX in the dialect of mathtext, set as TeX would display it."""
    for old, new in (
        (r"\displaystyle", ""),
        (r"\limits", ""),
        (r"\middle|", "|"),
        (r"\mathbb{E}", r"\mathrm{E}"),
        ("\n", " "),
    ):
        latex = latex.replace(old, new)
    # mathtext shrinks stretched brackets around small things.
    while (plain := _STRETCHED.sub(r"\1\2\3", latex)) != latex:
        latex = plain
    latex = re.sub(r"(?<=[\w}]) (\\operatorname|\\(?:sin|cos|exp|sinh|cosh|min|max|log|tan)\b)", r"\\,\1", latex)
    return _large_fractions(latex)


_STRETCHED = re.compile(r"\\left([(|])((?:(?!\\left|\\right|\\frac|\\sqrt).)*?)\\right([)|])")


def _large_fractions(latex: str) -> str:
    r"""\dfrac for the fractions that are not inside a group (an exponent, another fraction, a root)."""
    parts, depth = [], 0
    for token in re.findall(r"\\[a-zA-Z]+|\\.|.", latex):
        depth += (token == "{") - (token == "}")
        parts.append(r"\dfrac" if token == r"\frac" and depth == 0 else token)
    return "".join(parts)
