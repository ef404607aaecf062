"""`kernalg dual`: the kernel of one layer in closed form."""

from __future__ import annotations

import argparse

from kernalg.cli.command import PHI, Commands, command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "dual",
        "the kernel of one layer in closed form, with its derivation",
        """\
Print the dual k(q1, q2, c) = E[phi(u) phi(v)] of an activation, for a centred Gaussian pair with variances q1, q2 and
covariance c: the formula, its form at unit variances, the dual of the derivative (which the tangent kernel uses), the
checked steps that lead there, and a certified value.

examples:
  kernalg dual relu
  kernalg dual "max(x,0)" --latex
  kernalg dual gelu --brief""",
        run,
    )
    parser.add_argument("activation", metavar="PHI", help=PHI)
    parser.add_argument("--digits", type=int, default=50, metavar="N", help="of the certified value (default: 50)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--latex", action="store_true", help="LaTeX instead of plain text")
    form.add_argument("--brief", action="store_true", help="only the formula")


def run(arguments: argparse.Namespace) -> None:
    from sympy import latex, sstr

    from kernalg.activation.activation import activation
    from kernalg.derivation.engine import derivation

    phi = activation(arguments.activation)
    dual = phi.dual
    if arguments.brief:
        print(sstr(dual.expr))
        return
    if arguments.latex:
        formulas = (
            rf"\varphi(x) = {latex(phi.expr)}",
            rf"k(q_1, q_2, c) = {latex(dual.expr)}",
            rf"k(1, 1, \rho) = {latex(dual.normalized)}",
            rf"\dot k(q_1, q_2, c) = {latex(dual.derivative.expr)}",
        )
        print("\n".join(rf"\[ {formula} \]" for formula in formulas), derivation(dual).latex(), sep="\n")
        return
    lines = [
        f"phi(x)            {sstr(phi.expr)}",
        f"k(q1, q2, c)      {sstr(dual.expr)}",
        f"k(1, 1, rho)      {sstr(dual.normalized)}",
        f"derivative dual   {sstr(dual.derivative.expr)}",
    ]
    if not phi.parameters:
        value = dual.value(1, 1, "1/2", digits=arguments.digits)
        lines.append(f"k(1, 1, 1/2)      {sstr(value, full_prec=True)}   ({arguments.digits} certified digits)")
    print("\n".join(lines), "", derivation(dual), sep="\n")
