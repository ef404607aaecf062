"""Derivations on paper: text, Markdown, LaTeX, HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import sympy as sp

if TYPE_CHECKING:
    from kernalg.derivation.steps import Derivation


def text(d: Derivation) -> str:
    lines = [d.title, "=" * len(d.title)]
    lines += [d.introduction, ""] if d.introduction else [""]
    for s in d.steps:
        lines += [f"{s.id}  {s.lhs} {s.relation} {s.rhs}", f"    because {s.because}", f"    checked {s.checked}", ""]
    return "\n".join([*lines, *_ending(d)])


def markdown(d: Derivation) -> str:
    lines = [f"# {d.title}", ""]
    if d.introduction:
        lines += [d.introduction, ""]
    for s in d.steps:
        lines += [
            f"**{s.id}.** {_sentence(s.because)}",
            "",
            f"$$ {s.statement_latex} $$",
            "",
            f"*Checked* — {s.checked}.",
            "",
        ]
    return "\n".join([*lines, *_ending(d), *_references(d, "- ")]).rstrip() + "\n"


def latex(d: Derivation) -> str:
    lines = [rf"\section*{{{d.title}}}", d.introduction]
    for s in d.steps:
        lines += [
            rf"\paragraph{{{s.id}}} {_sentence(s.because)}",
            rf"\begin{{equation*}}{s.statement_latex}\end{{equation*}}",
            rf"\emph{{Checked}} --- {s.checked}.",
        ]
    return "\n".join([*lines, *_ending(d), *_references(d, r"\par ")]) + "\n"


def html(d: Derivation) -> str:
    rows = [f"<h3>{escape(d.title)}</h3>", f"<p>{escape(d.introduction)}</p>" if d.introduction else "", "<ol>"]
    for s in d.steps:
        rows.append(
            f"<li id='{escape(s.id)}'><p>{escape(_sentence(s.because))}</p><p>\\[{escape(s.statement_latex)}\\]</p>"
            f"<p><small>checked: {escape(str(s.checked))}</small></p></li>"
        )
    rows += ["</ol>", *(f"<p>{escape(line)}</p>" for line in (*_ending(d), *_references(d, "")))]
    return "\n".join(r for r in rows if r)


def _sentence(because: str) -> str:
    return because[:1].upper() + because[1:].rstrip(".") + "."


def _ending(d: Derivation) -> list[str]:
    if d.conclusion is None:
        return []
    name, formula = d.conclusion
    proved = all(s.checked.is_proof for s in d.steps)
    manner = "every step is proved symbolically" if proved else "each step says how it was checked"
    return [f"The library ships {name} as derived here, `{sp.sstr(formula)}`; {manner}.", ""]


def _references(d: Derivation, bullet: str) -> list[str]:
    return ["References", "", *(f"{bullet}{r}" for r in d.references)] if d.references else []
