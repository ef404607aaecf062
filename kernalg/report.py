"""The tour's report: one HTML file with its pictures and formulas inside, readable on a phone and on paper."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kernalg import plot
from kernalg.network.network import mlp
from kernalg.spectrum.spectrum import Spectrum
from kernalg.typeset import display, equation, formula, width

if TYPE_CHECKING:
    from kernalg.learning.measured import Measured
    from kernalg.tour import Experiment, Tour

# Beyond this relative deviation the prediction is said to have failed.
_FAILED = 0.15

_CHECKED = {
    "definition": "A definition: nothing to check",
    "symbolic": "Proved: ",
    "derivative and point": "Proved: ",
    "balls": "Checked in balls: ",
    "quadrature": "Checked by quadrature: ",
    "cited": "Cited, ",
}

_STYLE = """
:root { --ink: #1f2937; --soft: #4b5563; --line: #d9dde3; --accent: #12305c; --wash: #f5f7fa; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1.1rem 4rem; max-width: 62rem; color: var(--ink); background: #fff;
  font: 1.03rem/1.6 Georgia, "Iowan Old Style", "Palatino Linotype", "Times New Roman", serif; }
h1, h2, h3, th, caption, figcaption, summary, nav, .facts b, .small { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: clamp(1.6rem, 5vw, 2.3rem); line-height: 1.2; margin: .6rem 0 .4rem; color: var(--accent); }
h2 { font-size: 1.35rem; margin: 2.8rem 0 .6rem; padding-top: .9rem; border-top: 2px solid var(--accent); color: var(--accent); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
p, li { max-width: 44rem; }
p.lead { font-size: 1.12rem; }
ul.facts { list-style: none; max-width: 47rem; padding: 1rem 1.2rem; margin: 1.2rem 0; background: var(--wash); border-left: 4px solid var(--accent); }
ul.facts li { margin: .4rem 0; }
.small, small { color: var(--soft); font-size: .84rem; }
.said { border-left: 4px solid #c2410c; background: #fdf6f1; padding: .7rem 1rem; max-width: 47rem; }
.scroll { overflow-x: auto; overflow-y: hidden; padding: .2rem 0; }
svg.math { overflow: visible; max-width: none; }
figure { margin: 1rem 0; }
figure.formula { font-size: 1.12rem; margin: .7rem 0 .9rem; padding-left: 1rem; border-left: 3px solid var(--line); }
figure.formula .scroll > div { margin: .45rem 0; white-space: nowrap; }
details summary { cursor: pointer; color: var(--soft); font-size: .72rem; }
pre { background: var(--wash); padding: .7rem .9rem; overflow-x: auto; font-size: .84rem; line-height: 1.45; }
figure.formula pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem 1.6rem; }
.pictures figure { margin: 0; }
.pictures img { width: 100%; max-width: 34rem; height: auto; display: block; }
figcaption { font-size: .86rem; color: var(--soft); line-height: 1.45; max-width: 34rem; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .93rem; font-variant-numeric: lining-nums tabular-nums; }
caption { text-align: left; font-size: .86rem; color: var(--soft); padding-bottom: .4rem; }
th { text-align: right; font-weight: 600; font-size: .82rem; padding: .3rem .8rem; border-bottom: 2px solid var(--ink); vertical-align: bottom; }
td { text-align: right; padding: .22rem .8rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { padding-left: .2rem; }
table.words td:first-child, table.words th:first-child { text-align: left; }
ol.steps { padding-left: 1.4rem; } ol.steps > li { margin: 1rem 0; }
.digits { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .86rem; overflow-wrap: anywhere; text-align: left; white-space: normal; }
@media print { body { font-size: 10.5pt; max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, table, li { break-inside: avoid; } details { display: none; } .pictures { grid-template-columns: 1fr 1fr; } }
"""


def write_report(tour: Tour, path: Path) -> None:
    """Write the report of a finished tour to `path`."""
    path.write_text(page(tour), encoding="utf-8")


def page(tour: Tour) -> str:
    """The whole document."""
    name = tour.settings.activation
    sections = (_head, _derivation, _network, _certified, _gram, _sphere_spectrum, _sphere_curve, _digits, _colophon)
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>kernalg: from {_text(name)} to a learning curve</title>",
            f"<style>{_STYLE}</style>\n</head>\n<body>",
            *(_inline_math(section(tour)) for section in sections),
            "</body>\n</html>\n",
        ]
    )


# -- sections ---------------------------------------------------------------------------------------------------------


def _head(tour: Tour) -> str:
    s, gram = tour.settings, tour.gram
    worst = _percent(np.abs(tour.sphere.relative_deviation).max())
    layers = f"{s.depth} hidden layer{'s' * (s.depth != 1)}"
    latex = rf"\varphi(x) = {sp.latex(tour.activation.expr)}"
    shown = formula(latex) if "begin" not in latex and width(latex) < 20 else _text(s.activation)
    return f"""
<p class="small">kernalg tour</p>
<h1>From {_text(s.activation)} to a learning curve</h1>
<p class="lead">What a very wide network with the activation {shown} learns, worked out from the formula alone and then measured.
The network has {layers}, weight variance {_text(s.w_var)}, bias variance {_text(s.b_var)} and a linear readout;
as its width grows it becomes kernel regression with the neural tangent kernel (NTK).</p>
<ul class="facts">
<li><b>Formula.</b> The kernel of a layer has a closed form, derived in {len(tour.derivation.steps)} checked steps.</li>
<li><b>Digits.</b> Two independent routes agree to {min(a.digits for a in tour.agreements)} digits; compiled float64 entries
are within {_scientific(gram.worst_error)} of certified values.</li>
<li><b>Speed.</b> Both Gram matrices of {gram.points} images take {_seconds(gram.both_seconds)}: {gram.nanoseconds_per_entry:.0f} ns an entry.</li>
<li><b>Theory on the sphere.</b> Predicted and measured test errors differ by at most {worst}.</li>
<li><b>Theory on real data.</b> {_verdict(tour.digits)}</li>
</ul>"""


def _derivation(tour: Tour) -> str:
    dual, steps = tour.activation.dual, []
    first = display(equation(r"k(q_1, q_2, c) = \mathbb{E}[\varphi(u)\,\varphi(v)]", dual.expr))
    second = display(equation(r"\dot k(q_1, q_2, c) = \mathbb{E}[\varphi^\prime(u)\,\varphi^\prime(v)]", dual.derivative.expr))
    for step in tour.derivation.steps:
        reason = step.because[:1].upper() + step.because[1:].rstrip(".").replace("(2 pi)", "2π") + "."
        steps.append(
            f"<li>{_text(reason)}{display(equation(sp.latex(step.lhs), step.rhs))}"
            f"<small>{_CHECKED[step.checked.kind]}{_text(step.checked.detail)}.</small></li>"
        )
    return f"""
<h2>1. The kernel of one layer</h2>
<p>In a wide layer two inputs become a pair of centred Gaussians $u, v$ with variances $q_1, q_2$ and
covariance $c$. All that the next layer sees is one expectation, the <em>dual</em> of the activation:</p>
{first}
<p>Training needs a second one, with the derivative of the activation:</p>
{second}
{_legend(dual.expr, dual.derivative.expr, *(side for step in tour.derivation.steps for side in (step.lhs, step.rhs)))}
<h3>How the first one comes about</h3>
<p>The activation is written as a sum of atoms $x^n e^{{Ax^2 + Bx}}$, each alone or times
a threshold. The expectation of every pair of atoms closes,
and their sum is the dual.</p>
<ol class="steps">{"".join(steps)}</ol>"""


def _network(tour: Tour) -> str:
    s, table = tour.settings, tour.profile
    w, b = _coefficient(s.w_var), ("" if s.b_var == "0" else f" + {_latex_number(s.b_var)}")
    layer_map = display(
        [
            r"K^{(0)}(x, x^\prime) = \frac{x \cdot x^\prime}{d}, \qquad \Theta^{(0)} = 0",
            rf"\Sigma^{{(\ell)}} = {w} K^{{(\ell-1)}}{b}",
            r"q_1 = \Sigma^{(\ell)}(x, x),\quad q_2 = \Sigma^{(\ell)}(x^\prime, x^\prime),\quad c = \Sigma^{(\ell)}(x, x^\prime)",
            rf"K^{{(\ell)}} = k(q_1, q_2, c), \qquad \Theta^{{(\ell)}} = \left(\Sigma^{{(\ell)}} + {w}\Theta^{{(\ell-1)}}\right)\,\dot k(q_1, q_2, c)",
        ]
    )
    one = mlp(tour.activation, 1, s.w_var, s.b_var).ntk.profile().expr
    written_out = equation(r"\Theta(\rho)", one)
    example = ""
    if sum(width(line) for line in written_out) < 120:
        example = (
            rf"<p>With one hidden layer, on the sphere $|x|^2 = d$ and with $\rho = x\cdot x^\prime/d$, "
            f"the NTK written out is</p>{display(written_out)}"
        )
    rows = [
        [str(r.layer), f"{r.variance:.6g}", f"{r.nngp:.6g}", f"{r.correlation_of_orthogonal:.4f}", f"{r.ntk:.6g}"]
        for r in table.layers
    ]
    columns = ["layer", "variance before φ", "K(x, x) after φ", "correlation of x ⊥ x′", "Θ(x, x) after φ"]
    last = table.layers[-1].correlation_of_orthogonal
    taylor = [[str(k), f"{a:.8f}", f"{t:.8f}"] for k, (a, t) in enumerate(zip(table.nngp_taylor, table.ntk_taylor, strict=True))]
    return rf"""
<h2>2. The kernels of the network</h2>
<p>Layers compose. Every hidden layer maps the covariance $K$ and the tangent kernel $\Theta$ of the one below:</p>
{layer_map}
<p>After {s.depth} such layer{"s" * (s.depth != 1)} and the readout, the kernel of the random network (NNGP) is $K^{{({s.depth})}}$
and that of gradient descent (NTK) is $K^{{({s.depth})}} + \Theta^{{({s.depth})}}$.
The layers are composed as functions and never multiplied out: that keeps deep kernels exact.</p>
{example}
<div class="pictures">
{_picture(plot.profile, table.rho, table.ntk, table.nngp, alt="NTK and NNGP kernel against correlation",
    caption="Both kernels see only the angle between two inputs. The steeper a kernel is near ρ = 1, the finer the detail it can learn.")}
<div>{_table(columns, rows, "What each layer does to points of the sphere")}
<p class="small">Orthogonal inputs come out with correlation {last:.3f}: {
    "depth makes all inputs look alike" if last > 0.05 else "this network keeps orthogonal inputs apart"}.</p></div>
</div>
<details><summary>Taylor coefficients of both profiles</summary>{
    _table(["power of ρ", "NNGP", "NTK"], taylor, "None is negative: each is the weight of one polynomial degree")}</details>"""


def _certified(tour: Tour) -> str:
    rows = "".join(
        f"<h3>{_text(a.what)} at {_text(', '.join(f'{k} = {v}' for k, v in a.point.items()))}</h3>"
        f"<table class='words'><tbody><tr><td>certified (balls)</td><td class='digits'>{_text(a.certified)}</td></tr>"
        f"<tr><td>second route</td><td class='digits'>{_text(a.second)}</td></tr></tbody></table>"
        f"<p>The second route is the {_text(a.second_route)}. <b>{a.digits} digits agree.</b></p>"
        for a in tour.agreements
    )
    return f"""
<h2>3. Fifty digits, twice</h2>
<p>A certified value is an interval that provably contains the exact number, computed until it is narrower than 50 digits.
Each is compared with a power series, whose coefficients come from other formulas and whose tail is below the last digit shown.</p>
{rows}"""


def _gram(tour: Tour) -> str:
    g = tour.gram
    rows = [
        ["NNGP and NTK together", _seconds(g.both_seconds), f"{g.nanoseconds_per_entry:.1f}"],
        ["the product X Xᵀ alone (BLAS)", _seconds(g.product_seconds), f"{1e9 * g.product_seconds / g.points**2:.1f}"],
        ["compiling, or loading what was compiled", _seconds(g.compile_seconds), ""],
    ]
    return f"""
<h2>4. Compiled</h2>
<p>The formulas were turned into machine code and applied to the {g.points} images, {g.features} pixels each:
a {g.points} × {g.points} matrix for either kernel.</p>
{_table(["", "time", "ns per entry"], rows, "Best of three runs", words=True)}
<p>Of {g.certified_entries} entries computed again to 30 certified digits, the worst float64 entry is off by
{_scientific(g.worst_error)} of the largest entry. The spacing of float64 numbers is 2.2 × 10<sup>−16</sup>.</p>"""


def _sphere_spectrum(tour: Tour) -> str:
    s, digits = tour.sphere.spectrum, tour.digits.spectrum
    d = tour.scale.dimension
    shown = min(11, len(s))
    total = s.trace if s.trace is not None else float(s.level_power.sum())
    rows = [
        [str(k), f"{s.multiplicities[k]:,}".replace(",", "\u202f"), _scientific(s.eigenvalues[k], 3), _percent(s.level_power[k] / total, 3)]
        for k in range(shown)
    ]
    half = int(np.searchsorted(np.cumsum(digits.target_power) / digits.target_power.sum(), 0.9)) + 1
    return f"""
<h2>5. What the kernel prefers: spectra</h2>
<p>A kernel learns functions in the order of its eigenvalues. On the sphere in {d} dimensions the eigenfunctions are the spherical
harmonics, one eigenvalue for each degree: low degrees are learned first, and each next degree takes many times more data.
The images of digits have {digits.atoms} eigenvectors of their own, and the labels lie mostly along the first:
{half} of them hold 90 % of the labels' power.</p>
<div class="pictures">
{_picture(plot.spectrum, _first_levels(s, shown), alt="eigenvalues on the sphere by degree",
    caption=f"NTK on the sphere, d = {d}. One harmonic gets little, but there are many of a degree.")}
{_picture(plot.spectrum, digits, alt="eigenvalues on the digits by rank", caption="The same kernel on the digits: all its eigenvalues.")}
{_picture(plot.target_power, digits, alt="label power beyond the first eigenvectors",
    caption="What the first eigenvectors leave of the digits' labels. The slow end of this curve is the hard part of the task.")}
<div>{_table(["degree", "harmonics", "eigenvalue", "share of the trace"], rows, f"NTK on the sphere, d = {d}")}</div>
</div>"""


def _sphere_curve(tour: Tour) -> str:
    e = tour.sphere
    columns = ["n", "predicted", "measured", "deviation", "in s.e."]
    z, measured = e.z_scores, _plus_minus(e.measured.test_mse)
    rows = [
        [
            f"{n:g}",
            _plain(e.at_measured.test_mse[i]),
            measured[i],
            _signed_percent(e.relative_deviation[i]),
            f"{z[i]:+.1f}".replace("-", "−") if math.isfinite(z[i]) else "",
        ]
        for i, n in enumerate(e.measured.n)
    ]
    draws = e.measured.test_mse.draws.shape[1]
    middle, worst = (float(f(np.abs(e.relative_deviation))) for f in (np.median, np.max))
    holds = "Here the theory holds." if worst < 0.1 else "Here the theory is not exact."
    lost = [str(k) for k in (1, 2) if e.spectrum.eigenvalues[k] <= 0]
    beyond = (
        f" This kernel has no harmonics of degree {' and '.join(lost)}: that part of the target is never learned, and stays as an error."
        if lost
        else ""
    )
    return f"""
<h2>6. Predicted and measured: the sphere</h2>
<p>The target is a sum of two harmonics of degree 1 and 2, each of power 1, seen with label noise of variance {e.measured.noise:g}.
Kernel ridge regression with the NTK (ridge {e.measured.ridge:.3g}) is fitted to $n$ random points; its error over the whole
sphere is computed exactly, not sampled. The prediction uses nothing but the spectrum of section 5.</p>
<div class="pictures">
{_picture(plot.learning_curve, e.prediction, e.measured, alt="predicted and measured learning curve on the sphere",
    caption=f"Line: theory, no fitted parameter. Points: mean of {draws} experiments. "
            f"The floor is the label noise, {e.measured.noise:g}.")}
<div>{_table(columns, rows, "Mean squared error on noisy labels, ± one standard error")}</div>
</div>
<p class="said">{holds} Half of the deviations are below {_percent(middle)}, the largest is
{_percent(worst)}.{beyond} The equations are exact only in the limit of many modes; in {tour.scale.dimension} dimensions a few per cent are left.</p>"""


def _digits(tour: Tour) -> str:
    e = tour.digits
    m = e.measured
    assert m.loo is not None and m.gcv is not None and m.loo_over_gcv is not None  # measured on data
    columns = ["n", "held-out", "leave-one-out", "GCV", "eigenlearning", "its deviation", "LOO / GCV"]
    measured = [_plus_minus(q) for q in (m.test_mse, m.loo, m.gcv)]
    rows = [
        [
            f"{n:g}",
            *(column[i] for column in measured),
            _plain(e.at_measured.test_mse[i]),
            _signed_percent(e.relative_deviation[i]),
            f"{m.loo_over_gcv.mean[i]:.2f}",
        ]
        for i, n in enumerate(m.n)
    ]
    ratio = m.loo_over_gcv.mean
    loo = np.abs(m.loo.mean / m.test_mse.mean - 1).max()
    gcv = m.gcv.mean / m.test_mse.mean - 1
    doubts = "".join(f"<li>{_text(str(doubt))}</li>" for doubt in e.at_measured.diagnostics.messages)
    agree = "is right at every size" if loo < 0.1 else "stays closest to the truth"
    return f"""
<h2>7. Predicted and measured: handwritten digits</h2>
<p>{tour.gram.points} images of 8 × 8 pixels, centred and scaled to the sphere $|x|^2 = d = 64$; the labels are one-hot minus 0.1 and
the squared error is summed over the ten classes. Kernel ridge regression with the NTK (ridge {m.ridge:.3g}) learns from $n$ images
drawn at random and is tested on all the others. Beside the held-out error stand three numbers that need no test set:</p>
<ul>
<li><b>leave-one-out</b>, exact, from a single fit;</li>
<li><b>GCV</b> (generalized cross-validation), the same after an average that theory justifies in high dimension;</li>
<li><b>eigenlearning</b>, the prediction of section 6 with the {tour.digits.spectrum.atoms} images as the whole population.</li>
</ul>
<div class="pictures">
{_picture(plot.learning_curve, e.prediction, m, alt="errors on the digits against sample size",
    caption=f"Means of {m.test_mse.draws.shape[1]} draws with two standard errors. Leave-one-out is shifted sideways a little to keep it readable.")}
{_picture(plot.loo_over_gcv, m, alt="LOO over GCV against sample size",
    caption="A test that anyone can make on their own data: where this ratio leaves 1, GCV and the theory behind it cannot be trusted.")}
</div>
{_table(columns, rows, "Squared error summed over classes, mean ± one standard error")}
<p class="said"><b>Where the theory stops.</b> {_verdict(e)} LOO/GCV runs from {ratio.min():.2f} to {ratio.max():.2f}: leave-one-out {agree}
(within {_percent(loo)}), while GCV is off by {_signed_percent(gcv[np.abs(gcv).argmin()])} to {_signed_percent(gcv[np.abs(gcv).argmax()])}.
Trust leave-one-out here.</p>
{f'<p>What the prediction says about itself:</p><ul class="small">{doubts}</ul>' if doubts else ""}"""


def _colophon(tour: Tour) -> str:
    s = tour.settings
    versions = ", ".join(f"{name} {number}" for name, number in tour.as_dict()["versions"].items())
    rows = [[title, f"{seconds:.1f} s"] for title, seconds in tour.seconds.items()]
    quoted = s.activation.replace("'", "'\\''")
    return f"""
<h2>How this was made</h2>
<pre>kernalg tour --activation '{_text(quoted)}' --depth {s.depth} --w-var {_text(s.w_var)} --b-var {_text(s.b_var)} --seed {s.seed}</pre>
<p>The kernels, in Python:</p>
<pre>import kernalg as ka
net = ka.mlp({_text(repr(s.activation))}, depth={s.depth}, w_var={_argument(s.w_var)}, b_var={_argument(s.b_var)})
net.ntk(X)                                  # Gram matrix of the rows of X
net.ntk.value(1, 1, "2/5", digits=50)       # certified digits
ka.spectrum(net.ntk, ka.Sphere({tour.scale.dimension}))</pre>
{_table(["step", "time"], rows, "Where the time went", words=True)}
<p class="small">All numbers are in <code>results.json</code> beside this file. {_text(versions)}.</p>"""


# -- sentences and pieces ---------------------------------------------------------------------------------------------


def _verdict(e: Experiment) -> str:
    """Where the prediction leaves the held-out error, in a sentence."""
    deviation, n = e.relative_deviation, e.measured.n
    good = np.abs(deviation) <= _FAILED
    last = f"{_percent(abs(deviation[-1]))} too {'low' if deviation[-1] < 0 else 'high'}"
    atoms = e.spectrum.atoms or 1
    if good.all():
        return f"The predicted error is within {_percent(np.abs(deviation).max())} of the measured one at every n up to {n[-1]:g}."
    until = int(np.argmin(good))
    if until == 0:
        return f"The predicted error is more than {_FAILED:.0%} off already at n = {n[0]:g}, and {last} at n = {n[-1]:g}."
    share = _percent(n[until - 1] / atoms)
    return (
        f"The predicted error is within {_percent(np.abs(deviation[:until]).max())} of the measured one up to n = {n[until - 1]:g} "
        f"({share} of the {atoms} points) and {last} at n = {n[-1]:g}: the theory takes the sample to be small against the population."
    )


def _legend(*expressions: sp.Expr) -> str:
    """What the less known functions in the formulas are."""
    names = {f.func.__name__ for e in expressions for f in sp.preorder_traversal(e) if isinstance(f, sp.Function)}
    known = {
        "Heaviside": r"$\theta$ is the unit step",
        "normal_cdf": r"$\Phi$ is the standard normal distribution function",
        "bivariate_normal_cdf": r"$\Phi_2(a, b; r)$ that of two standard normal variables with correlation $r$",
    }
    told = "; ".join(text for name, text in known.items() if name in names)
    return f"<p class='small'>{told}.</p>" if told else ""


def _first_levels(s: Spectrum, count: int) -> Spectrum:
    return Spectrum(s.eigenvalues[:count], s.multiplicities[:count], space=s.space)


def _picture(draw: Any, *values: Any, alt: str, caption: str) -> str:
    data = base64.b64encode(plot.svg(draw, *values).encode()).decode("ascii")
    return (
        f'<figure><img alt="{_text(alt)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str, words: bool = False) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    kind = ' class="words"' if words else ""
    return (
        f'<div class="scroll"><table{kind}><caption>{_text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _inline_math(text: str) -> str:
    """$…$ to formulas; no other dollar sign occurs in a report."""
    return re.sub(r"\$(.+?)\$", lambda found: formula(found[1]), text)


def _text(value: str) -> str:
    return html.escape(value)


def _argument(number: str) -> str:
    return number if number.isdigit() else _text(repr(number))


def _coefficient(number: str) -> str:
    return "" if number == "1" else _latex_number(number) + r"\,"


def _latex_number(number: str) -> str:
    numerator, slash, denominator = number.partition("/")
    return rf"\dfrac{{{numerator}}}{{{denominator}}}" if slash and denominator.isdigit() else number


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}g} %" if share < 0.995 else f"{100 * share:.0f} %"


def _signed_percent(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")


def _plain(value: float) -> str:
    return f"{value:.4f}" if value >= 1e-3 or value == 0 else _scientific(value, 3)


def _plus_minus(quantity: Measured) -> list[str]:
    """Mean ± standard error for every n, with as many decimals in every row."""
    mean, error = quantity.mean, quantity.standard_error
    if not np.isfinite(error).all():
        return [_plain(m) for m in mean]
    typical = float(np.median(error))
    places = min(max(1 - math.floor(math.log10(typical)), 0), 8) if typical > 0 else 4
    return [f"{m:.{places}f} ± {e:.{places}f}" for m, e in zip(mean, error, strict=True)]


def _scientific(value: float, digits: int = 1) -> str:
    """2.1 × 10^-16, in HTML; a number of ordinary size as it is."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    if int(exponent) == 0:
        return mantissa
    return f"{mantissa} × 10<sup>{int(exponent)}</sup>".replace("-", "−")


def _seconds(value: float) -> str:
    return f"{1e3 * value:.0f} ms" if value < 1 else f"{value:.1f} s"
