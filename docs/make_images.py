"""Draw the pictures of the README: python docs/make_images.py"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import kernalg as ka
from kernalg import plot
from kernalg.learning.optimal_ridge import optimal_ridge
from kernalg.learning.regression import measured_curve_on_sphere
from kernalg.network.dot_product import DotProductKernel

HERE = Path(__file__).parent / "images"


def learning_curve() -> None:
    """Kernel ridge regression on the sphere, d = 50: the theory from the spectrum, and experiments."""
    dimension, power, ridge, noise = 50, [0, 1, 1], 0.01, 0.1
    kernel = ka.mlp("relu", depth=3, w_var=2, b_var=0).ntk
    spectrum = ka.spectrum(kernel, ka.Sphere(dimension), degree=10)
    predicted = ka.learning_curve(spectrum, power=power, n=np.geomspace(12, 1600, 200), ridge=ridge, noise=noise)
    sizes = [16, 32, 64, 128, 256, 512, 1024]
    measured = measured_curve_on_sphere(
        kernel, spectrum, power, dimension=dimension, n=sizes, ridge=ridge, noise=noise, draws=40, seed=2
    )
    with plt.rc_context(plot.STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained")
        plot.spectrum(spectrum, left)
        plot.learning_curve(predicted, measured, right)
        figure.savefig(HERE / "learning_curve.png", dpi=150)


def multiple_descent() -> None:
    """More data can hurt, once per level of the spectrum; at the best ridge they never do."""
    kernel = ka.dot_product_kernel("rho/(1 - rho/40)")
    spectrum = ka.spectrum(kernel, ka.Sphere(50), degree=8)
    target, sizes = [0, 1, 1, 1], np.geomspace(5, 1e5, 500)
    curves = {f"noise {v:g}": ka.learning_curve(spectrum, target, n=sizes, noise=v) for v in (0.1, 0.3, 1)}
    with plt.rc_context(plot.STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained")
        plot.learning_curves(curves, ax=left, title="Multiple descent without ridge")
        plot.optimal_ridge(optimal_ridge(spectrum, target, n=sizes, noise=1), right)
        right.set_title("The best ridge at every n (noise 1)", pad=22)
        figure.savefig(HERE / "multiple_descent.png", dpi=150)


def design() -> None:
    """Four kernels, the activations made for them, and the tangent kernels of finite networks that use these."""
    deep = ka.mlp("relu", depth=4, w_var=2, b_var="1/100").ntk
    columns = {
        "exp(2(c − 1))": _designed("exp(2*(rho-1))"),
        "c⁴ + c": _designed("rho**4 + rho"),
        "cosh 2c": _designed("cosh(2*rho)"),
        "4 ReLU layers": (deep, ka.fit_activation(deep, ka.relu_cosine()).activation),
    }
    fine, angles, z = np.linspace(0, np.pi, 181), np.linspace(0, np.pi, 13), np.linspace(-3, 3, 401)
    circle = np.sqrt(2) * np.column_stack([np.cos(angles), np.sin(angles)])
    with plt.rc_context(plot.STYLE):
        figure, (tops, bottoms) = plt.subplots(2, 4, figsize=(9.4, 4.4), layout="constrained")
        for (name, (kernel, phi)), top, bottom in zip(columns.items(), tops, bottoms, strict=True):
            found = ka.empirical_ntk(phi, circle[:1], circle, width=2**14, draws=16)
            top.plot(z, phi(z), color=plot.NAVY)
            top.fill_between(
                z, 0.25 * np.exp(-(z**2) / 2), transform=top.get_xaxis_transform(), color="#9aa4b2", alpha=0.3
            )
            top.set(title=name, xlabel="pre-activation", xlim=(-3, 3), xticks=[-3, 0, 3])
            cosines = np.clip(np.cos(fine), -1, 1)
            asked = [float(kernel.profile().value(c, digits=15)) for c in cosines]
            bottom.plot(np.degrees(fine), asked, color=plot.NAVY, label="asked for")
            bottom.errorbar(
                np.degrees(angles), found.mean[0], 2 * found.standard_error[0], color=plot.VERMILION, marker="o",
                markersize=4, linestyle="none", label="finite network",
            )  # fmt: skip
            bottom.set(xlabel="angle (degrees)", xticks=[0, 90, 180])
        tops[0].set_ylabel("activation")
        bottoms[0].set_ylabel("tangent kernel")
        bottoms[0].legend(loc="upper right", fontsize=8.5)
        figure.savefig(HERE / "design.png", dpi=150)


def _designed(formula: str) -> tuple[DotProductKernel, ka.HermiteSeries]:
    return ka.dot_product_kernel(formula), ka.design(formula, kind="ntk", signs="++--").series


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    learning_curve()
    multiple_descent()
    design()
