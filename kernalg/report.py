"""The tour's report: one HTML file with its pictures and formulas inside, readable on a phone and on paper."""

from __future__ import annotations

import base64
import html
import math
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kernalg import plot
from kernalg.errors import InternalError
from kernalg.network.network import mlp
from kernalg.spectrum.spectrum import Spectrum
from kernalg.typeset import display, equation, formula, width

if TYPE_CHECKING:
    from kernalg.findings import Experiment, Tour
    from kernalg.learning.measured import Measured

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
            f"<style>{Path(__file__).with_name('report.css').read_text(encoding='utf-8')}</style>\n</head>\n<body>",
            *(_inline_math(section(tour)) for section in sections),
            "</body>\n</html>\n",
        ]
    )


# -- sections ---------------------------------------------------------------------------------------------------------


def _head(tour: Tour) -> str:
    s, gram = tour.settings, tour.gram
    latex = rf"\varphi(x) = {sp.latex(tour.activation.expr)}"
    shown = formula(latex) if "begin" not in latex and width(latex) < 20 else _text(s.activation)
    worst = _percent(np.abs(tour.sphere.relative_deviation).max())
    digits = min(a.digits for a in tour.agreements)
    facts = {
        "Formula": f"The kernel of a layer has a closed form, derived in {len(tour.derivation.steps)} checked steps.",
        "Digits": f"Two independent routes agree to {digits} digits; compiled float64 entries are within "
        f"{_scientific(gram.worst_error)} of certified values.",
        "Speed": f"Both Gram matrices of {gram.points} images take {_seconds(gram.both_seconds)}: "
        f"{gram.nanoseconds_per_entry:.0f} ns an entry.",
        "Theory on the sphere": f"Predicted and measured test errors differ by at most {worst}.",
        "Theory on real data": _verdict(tour.digits),
    }
    return _join(
        '<p class="small">kernalg tour</p>',
        f"<h1>From {_text(s.activation)} to a learning curve</h1>",
        f'<p class="lead">What a very wide network with the activation {shown} learns, worked out from the',
        "formula alone",
        f"and then measured. The network has {s.depth} hidden layer{'s' * (s.depth != 1)}, weight variance",
        f"{_text(s.w_var)}, bias variance {_text(s.b_var)} and a linear readout; as its width grows it becomes kernel",
        "regression with the neural tangent kernel (NTK).</p>",
        '<ul class="facts">',
        *(f"<li><b>{name}.</b> {fact}</li>" for name, fact in facts.items()),
        "</ul>",
    )


def _derivation(tour: Tour) -> str:
    dual, made = tour.activation.dual, tour.derivation.steps
    steps = []
    for step in made:
        reason = step.because[:1].upper() + step.because[1:].rstrip(".").replace("(2 pi)", "2π") + "."
        steps.append(
            f"<li>{_text(reason)}{display(equation(sp.latex(step.lhs), step.rhs))}"
            f"<small>{_CHECKED[step.checked.kind]}{_text(step.checked.detail)}.</small></li>"
        )
    return _join(
        "<h2>1. The kernel of one layer</h2>",
        "<p>In a wide layer two inputs become a pair of centred Gaussians $u, v$ with variances $q_1, q_2$",
        "and covariance",
        "$c$. All that the next layer sees is one expectation, the <em>dual</em> of the activation:</p>",
        display(equation(r"k(q_1, q_2, c) = \mathbb{E}[\varphi(u)\,\varphi(v)]", dual.expr)),
        "<p>Training needs a second one, with the derivative of the activation:</p>",
        display(
            equation(r"\dot k(q_1, q_2, c) = \mathbb{E}[\varphi^\prime(u)\,\varphi^\prime(v)]", dual.derivative.expr)
        ),
        _legend(dual.expr, dual.derivative.expr, *(side for step in made for side in (step.lhs, step.rhs))),
        "<h3>How the first one comes about</h3>",
        "<p>The activation is written as a sum of atoms $x^n e^{Ax^2 + Bx}$, each alone or times a threshold. The",
        "expectation of every pair of atoms closes, and their sum is the dual.</p>",
        f'<ol class="steps">{"".join(steps)}</ol>',
    )


def _network(tour: Tour) -> str:
    s, table = tour.settings, tour.profile
    w, b = _coefficient(s.w_var), ("" if s.b_var == "0" else f" + {_latex_number(s.b_var)}")
    layer_map = [
        r"K^{(0)}(x, x^\prime) = \frac{x \cdot x^\prime}{d}, \qquad \Theta^{(0)} = 0",
        rf"\Sigma^{{(\ell)}} = {w} K^{{(\ell-1)}}{b}",
        r"q_1 = \Sigma^{(\ell)}(x, x),\quad q_2 = \Sigma^{(\ell)}(x^\prime, x^\prime),"
        r"\quad c = \Sigma^{(\ell)}(x, x^\prime)",
        r"K^{(\ell)} = k(q_1, q_2, c)",
        rf"\Theta^{{(\ell)}} = \left(\Sigma^{{(\ell)}} + {w}\Theta^{{(\ell-1)}}\right)\,\dot k(q_1, q_2, c)",
    ]
    written_out = equation(r"\mathrm{NTK}(\rho)", mlp(tour.activation, 1, s.w_var, s.b_var).ntk.profile().expr)
    example = [
        r"<p>With one hidden layer, on the sphere $|x|^2 = d$ and with $\rho = x\cdot x^\prime/d$, the NTK",
        r"written out is</p>",
        display(written_out),
    ]
    rows = [
        [str(r.layer), f"{r.variance:.6g}", f"{r.nngp:.6g}", f"{r.correlation_of_orthogonal:.4f}", f"{r.ntk:.6g}"]
        for r in table.layers
    ]
    columns = ["layer", "variance before φ", "K(x, x) after φ", "correlation of x ⊥ x′", "Θ(x, x) after φ"]
    last = table.layers[-1].correlation_of_orthogonal
    fate = "depth makes all inputs look alike" if last > 0.05 else "this network keeps orthogonal inputs apart"
    taylor = [
        [str(k), f"{a:.8f}", f"{t:.8f}"]
        for k, (a, t) in enumerate(zip(table.nngp_taylor, table.ntk_taylor, strict=True))
    ]
    top = f"({s.depth})"
    return _join(
        "<h2>2. The kernels of the network</h2>",
        r"<p>Layers compose. Every hidden layer maps the covariance $K$ and the tangent kernel $\Theta$ of",
        r"the one below:</p>",
        display(layer_map),
        f"<p>After {s.depth} such layer{'s' * (s.depth != 1)} and the readout, the kernel of the random",
        "network (NNGP) is",
        rf"$K^{{{top}}}$ and that of gradient descent (NTK) is $K^{{{top}}} + \Theta^{{{top}}}$. The layers",
        "are composed as functions and never multiplied out: that keeps deep kernels exact.</p>",
        *(example if sum(width(line) for line in written_out) < 120 else []),
        _pictures(
            _picture(
                "Both kernels see only the angle between two inputs. The steeper a kernel is near ρ = 1, the finer the "
                "detail it can learn.",
                plot.profile, table.rho, table.ntk, table.nngp,
            ),
            f"<div>{_table(columns, rows, 'What each layer does to points of the sphere')}"
            f'<p class="small">Orthogonal inputs come out with correlation {last:.3f}: {fate}.</p></div>',
        ),
        "<details><summary>Taylor coefficients of both profiles</summary>",
        _table(["power of ρ", "NNGP", "NTK"], taylor, "No coefficient is negative: each weighs one polynomial degree"),
        "</details>",
    )  # fmt: skip


def _certified(tour: Tour) -> str:
    digits = tour.scale.certified_digits
    rows = (
        f"<h3>{_text(a.what)} at {_text(', '.join(f'{k} = {v}' for k, v in a.point.items()))}</h3>"
        f"<table class='words'><tbody><tr><td>certified (balls)</td><td class='digits'>{_text(a.certified)}</td></tr>"
        f"<tr><td>second route</td><td class='digits'>{_text(a.second)}</td></tr></tbody></table>"
        f"<p>The second route is the {_text(a.second_route)}. <b>{a.digits} digits agree.</b></p>"
        for a in tour.agreements
    )
    return _join(
        f"<h2>3. {digits} digits, twice</h2>",
        "<p>A certified value is an interval that provably contains the exact number, computed until it is",
        "narrower than the",
        f"last of {digits} digits. Each is compared with a power series, whose coefficients come from other",
        "formulas and",
        "whose tail is below the last digit shown.</p>",
        *rows,
    )


def _gram(tour: Tour) -> str:
    g = tour.gram
    rows = [
        ["NNGP and NTK together", _seconds(g.both_seconds), f"{g.nanoseconds_per_entry:.1f}"],
        ["the product X Xᵀ alone (BLAS)", _seconds(g.product_seconds), f"{1e9 * g.product_seconds / g.points**2:.1f}"],
        ["compiling, or loading what was compiled", _seconds(g.compile_seconds), ""],
    ]
    return _join(
        "<h2>4. Compiled</h2>",
        f"<p>The formulas were turned into machine code and applied to the {g.points} images, {g.features}",
        "pixels each: a",
        f"{g.points}\u00a0×\u00a0{g.points} matrix for either kernel.</p>",
        _table(["", "time", "ns per entry"], rows, "Best of three runs", words=True),
        f"<p>Of {g.certified_entries} entries computed again to 30 certified digits, the worst float64 entry is off by",
        f"{_scientific(g.worst_error)} of the largest entry. The spacing of float64 numbers is",
        f"{_scientific(2.0**-52)}.</p>",
    )


def _sphere_spectrum(tour: Tour) -> str:
    s, data = tour.sphere.spectrum, tour.digits.spectrum
    d, shown = tour.scale.dimension, min(11, len(s))
    total = s.trace if s.trace is not None else float(s.level_power.sum())
    rows = [
        [
            str(k),
            f"{s.multiplicities[k]:,}".replace(",", "\u202f"),
            _scientific(s.eigenvalues[k], 3),
            f"{100 * s.level_power[k] / total:.2f} %",
        ]
        for k in range(shown)
    ]
    power = np.zeros(len(data)) if data.target_power is None else data.target_power
    most = int(np.searchsorted(np.cumsum(power), 0.9 * power.sum())) + 1
    columns = ["degree", "harmonics", "eigenvalue", "share of the trace"]
    return _join(
        "<h2>5. What the kernel prefers: spectra</h2>",
        f"<p>A kernel learns functions in the order of its eigenvalues. On the sphere in {d} dimensions the",
        "eigenfunctions",
        "are the spherical harmonics, one eigenvalue for each degree: low degrees are learned first, and each",
        "next degree",
        f"takes many times more data. The images of digits have {data.atoms} eigenvectors of their own; the",
        f"first {most} hold",
        "90 % of the labels' power.</p>",
        _pictures(
            _picture(
                f"NTK on the sphere, d = {d}. One harmonic gets little, but there are many of a degree.",
                plot.spectrum, Spectrum(s.eigenvalues[:shown], s.multiplicities[:shown], space=s.space),
            ),
            _picture("The same kernel on the digits: all its eigenvalues.", plot.spectrum, data),
            _picture(
                "What the first eigenvectors leave of the digits' labels. The slow end of this curve is the "
                "hard part of "
                "the task.",
                plot.target_power, data,
            ),
            f"<div>{_table(columns, rows, f'NTK on the sphere, d = {d}')}</div>",
        ),
    )  # fmt: skip


def _sphere_curve(tour: Tour) -> str:
    e = tour.sphere
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
    columns = ["n", "predicted", "measured", "deviation", "in s.e."]
    draws = e.measured.test_mse.draws.shape[1]
    middle, worst = (float(f(np.abs(e.relative_deviation))) for f in (np.median, np.max))
    holds = "Here the theory holds." if worst < 0.1 else "Here the theory is not exact."
    lost = " and ".join(str(k) for k in (1, 2) if e.spectrum.eigenvalues[k] <= 0)
    gap = f"This kernel has no harmonics of degree {lost}: that part of the target is never learned. " if lost else ""
    return _join(
        "<h2>6. Predicted and measured: the sphere</h2>",
        "<p>The target is a sum of two harmonics of degree 1 and 2, each of power 1, seen with label noise of variance",
        f"{e.measured.noise:g}. Kernel ridge regression with the NTK (ridge {e.measured.ridge:.3g}) is fitted",
        "to $n$ random",
        "points; its error over the whole sphere is computed exactly, not sampled. The prediction uses nothing but the",
        "spectrum of section 5.</p>",
        _pictures(
            _picture(
                f"Line: theory, no fitted parameter. Points: mean of {draws} experiments. The floor is the "
                "label noise, "
                f"{e.measured.noise:g}.",
                plot.learning_curve, e.prediction, e.measured,
            ),
            f"<div>{_table(columns, rows, 'Mean squared error on noisy labels, ± one standard error')}</div>",
        ),
        f'<p class="said">{holds} Half of the deviations are below {_percent(middle)}, the largest is',
        f'{_percent(worst)}.',
        f"{gap}The equations are exact only in the limit of many modes; in {tour.scale.dimension} dimensions",
        "a few per cent",
        "are left.</p>",
    )  # fmt: skip


def _digits(tour: Tour) -> str:
    e = tour.digits
    m, n = e.measured, e.measured.n
    if m.loo is None or m.gcv is None or m.loo_over_gcv is None:
        raise InternalError("the experiment on the digits has no leave-one-out estimates")
    measured = [_plus_minus(q) for q in (m.test_mse, m.loo, m.gcv)]
    ratio = m.loo_over_gcv.mean
    rows = [
        [
            f"{n[i]:g}",
            *(column[i] for column in measured),
            _plain(e.at_measured.test_mse[i]),
            _signed_percent(e.relative_deviation[i]),
            f"{ratio[i]:.2f}",
        ]
        for i in range(len(n))
    ]
    columns = ["n", "held-out", "leave-one-out", "GCV", "eigenlearning", "deviation", "LOO / GCV"]
    loo = np.abs(m.loo.mean / m.test_mse.mean - 1).max()
    gcv = sorted(m.gcv.mean / m.test_mse.mean - 1, key=abs)
    agree = "is right at every size" if loo < 0.1 else "stays closest to the truth"
    doubts = "".join(f"<li>{_text(str(doubt))}</li>" for doubt in e.at_measured.diagnostics.messages)
    return _join(
        "<h2>7. Predicted and measured: handwritten digits</h2>",
        f"<p>{tour.gram.points} images of 8 × 8 pixels, centred and scaled to the sphere $|x|^2 = d = 64$;",
        "the labels are",
        "one-hot minus 0.1 and the squared error is summed over the ten classes. Kernel ridge regression with the NTK",
        f"(ridge {m.ridge:.3g}) learns from $n$ images drawn at random and is tested on all the others.",
        "Beside the held-out",
        "error stand three numbers that need no test set:</p>",
        "<ul><li><b>leave-one-out</b>, exact, from a single fit;</li>",
        "<li><b>GCV</b> (generalized cross-validation), the same after an average that theory justifies in",
        "high dimension;",
        f"</li><li><b>eigenlearning</b>, the prediction of section 6 with the {e.spectrum.atoms} images as the whole",
        "population.</li></ul>",
        _pictures(
            _picture(
                f"Means of {m.test_mse.draws.shape[1]} draws with two standard errors. Leave-one-out is "
                "shifted sideways a "
                "little to keep it readable.",
                plot.learning_curve, e.prediction, m,
            ),
            _picture(
                "A test that anyone can make on their own data: where this ratio leaves 1, GCV and the theory "
                "behind it "
                "cannot be trusted.",
                plot.loo_over_gcv, m,
            ),
        ),
        _table(columns, rows, "Squared error summed over classes, mean ± one standard error"),
        f'<p class="said"><b>Where the theory stops.</b> {_verdict(e)} LOO/GCV runs from {ratio.min():.2f} to',
        f"{ratio.max():.2f}: leave-one-out {agree} (within {_percent(loo)}), while GCV is off by",
        f"{_signed_percent(gcv[0])} to",
        f"{_signed_percent(gcv[-1])}. Trust leave-one-out here.</p>",
        f'<p>What the prediction says about itself:</p><ul class="small">{doubts}</ul>' if doubts else "",
    )  # fmt: skip


def _colophon(tour: Tour) -> str:
    s = tour.settings
    variances = f"w_var={_argument(s.w_var)}, b_var={_argument(s.b_var)}"
    command = f"--depth {s.depth} --w-var {s.w_var} --b-var {s.b_var} --seed {s.seed}"
    versions = ", ".join(f"{name} {number}" for name, number in tour.as_dict()["versions"].items())
    rows = [[title, f"{seconds:.1f} s"] for title, seconds in tour.seconds.items()]
    return _join(
        "<h2>How this was made</h2>",
        f"<pre>kernalg tour --activation {_text(shlex.quote(s.activation))} {_text(command)}</pre>",
        "<p>The kernels, in Python:</p>",
        "<pre>import kernalg as ka",
        f"net = ka.mlp({_text(repr(s.activation))}, depth={s.depth}, {variances})",
        "net.ntk(X)                             # Gram matrix of the rows of X",
        'net.ntk.value(1, 1, "2/5", digits=50)  # certified digits',
        f"ka.spectrum(net.ntk, ka.Sphere({tour.scale.dimension}))</pre>",
        _table(["step", "time"], rows, "Where the time went", words=True),
        f'<p class="small">All numbers are in <code>results.json</code> beside this file. {_text(versions)}.</p>',
    )


# -- sentences and pieces ---------------------------------------------------------------------------------------------


def _verdict(e: Experiment) -> str:
    """Where the prediction leaves the held-out error, in a sentence."""
    deviation, n = e.relative_deviation, e.measured.n
    good = np.abs(deviation) <= _FAILED
    last = f"{_percent(abs(deviation[-1]))} too {'low' if deviation[-1] < 0 else 'high'}"
    atoms = e.spectrum.atoms or 1
    if good.all():
        within = _percent(np.abs(deviation).max())
        return f"The predicted error is within {within} of the measured one at every n up to {n[-1]:g}."
    until = int(np.argmin(good))
    if until == 0:
        return (
            f"The predicted error is {_FAILED:.0%} off or more already at n = {n[0]:g}; at n = {n[-1]:g} it is {last}."
        )
    within, share = _percent(np.abs(deviation[:until]).max()), _percent(n[until - 1] / atoms)
    return (
        f"The predicted error is within {within} of the measured one up to n = {n[until - 1]:g} ({share} of "
        f"the {atoms} "
        f"points) and {last} at n = {n[-1]:g}: the theory takes the sample to be small against the population."
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


def _join(*lines: str) -> str:
    return "\n" + "\n".join(line for line in lines if line)


def _pictures(*cells: str) -> str:
    return _join('<div class="pictures">', *cells, "</div>")


def _picture(caption: str, draw: Callable[..., Any], *values: Any) -> str:
    data = base64.b64encode(plot.svg(draw, *values).encode()).decode("ascii")
    return (
        f'<figure><img alt="{_text(caption)}" src="data:image/svg+xml;base64,{data}">'
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


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


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
