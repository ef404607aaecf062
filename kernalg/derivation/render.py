"""Derivations on paper: text, Markdown, LaTeX, HTML."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

import sympy as sp

if TYPE_CHECKING:
    from kernalg.derivation.steps import Derivation

_SHORT = 160  # characters; a longer formula is not repeated at the end of the page


def text(d: Derivation) -> str:
    lines = [d.title, "=" * len(d.title)]
    lines += [_plain(d.introduction), ""] if d.introduction else [""]
    for s in d.steps:
        because = _plain(s.because)
        lines += [f"{s.id}  {s.lhs} {s.relation} {s.rhs}", f"    because {because}", f"    checked {s.checked}", ""]
    return "\n".join([*lines, *_ending(d)])


def _plain(prose: str) -> str:
    """Prose without TeX: $q_1$ becomes q1, $e^{Bx}$ exp(Bx), $\\pi$ pi."""

    def words(match: re.Match[str]) -> str:
        formula = re.sub(r"e\^\{([^{}]*)\}", r"exp(\1)", match[1])
        formula = formula.replace(r"\arcsin", "asin").replace(r"\frac", "frac").replace("_", "")
        return formula.replace("\\", "")

    return re.sub(r"\$([^$]*)\$", words, prose)


def markdown(d: Derivation) -> str:
    lines = [f"# {d.title}", ""]
    if d.introduction:
        lines += [d.introduction, ""]
    for s in d.steps:
        lines += [
            f"**{s.id}.** {_sentence(s.because)}",
            "",
            "$$",
            s.statement_latex,
            "$$",
            "",
            "*Definition.*" if s.checked.kind == "definition" else f"*Checked* — {s.checked}.",
            "",
        ]
    return "\n".join([*lines, *_ending(d), *_references(d, "- ")]).rstrip() + "\n"


def latex(d: Derivation) -> str:
    title = d.title.replace("_", r"\_").replace("^", r"\^{}")
    lines = [rf"\section*{{{title}}}", d.introduction]
    for s in d.steps:
        lines += [
            rf"\paragraph{{{_verbatim(s.id)}}} {_sentence(s.because)}",
            rf"\begin{{equation*}}{s.statement_latex}\end{{equation*}}",
            rf"\emph{{Checked}} --- {s.checked}.",
        ]
    ending = [re.sub(rf"`([^`]*)`|({re.escape(d.id)}\.\d+)", lambda m: _verbatim(m[1] or m[2]), x) for x in _ending(d)]
    return "\n".join([*lines, *ending, *_references(d, r"\par ")]) + "\n"


def html(d: Derivation) -> str:
    rows = [f"<h3>{escape(d.title)}</h3>", f"<p>{_html_text(d.introduction)}</p>" if d.introduction else "", "<ol>"]
    for s in d.steps:
        rows.append(
            f"<li id='{escape(s.id)}'><p>{_html_text(_sentence(s.because))}</p>"
            f"<p>\\[{escape(s.statement_latex)}\\]</p><p><small>checked: {_html_text(str(s.checked))}</small></p></li>"
        )
    rows += ["</ol>", *(f"<p>{_html_text(line)}</p>" for line in (*_ending(d), *_references(d, "")))]
    return "\n".join(r for r in rows if r)


def _verbatim(words: str) -> str:
    """Words with underscores and carets, in TeX."""
    return rf"\texttt{{\detokenize{{{words}}}}}"


def _html_text(words: str) -> str:
    return re.sub(r"\$([^$]+)\$", r"\\(\1\\)", escape(words))


def _sentence(because: str) -> str:
    """A capital at the beginning; a full stop at the end, unless a colon leads to the formula."""
    return because[:1].upper() + because[1:].rstrip(".") + ("" if because.endswith(":") else ".")


def _ending(d: Derivation) -> list[str]:
    if not d.conclusions:
        return []
    lines = []
    for name, formula, step in d.conclusions:
        code = sp.sstr(formula)
        shown = f", `{code}`" if len(code) <= _SHORT else ""
        lines += [f"The library ships {name} exactly as {step} ends{shown}.", ""]
    count = sum(s.checked.is_proof for s in d.steps)
    if count == len(d.steps):
        return [*lines, "Every step is proved symbolically.", ""]
    return [*lines, f"Of the {len(d.steps)} steps {count} are definitions or proved; each says how it was checked.", ""]


def _references(d: Derivation, bullet: str) -> list[str]:
    return ["References", "", *(f"{bullet}{r}" for r in d.references)] if d.references else []
