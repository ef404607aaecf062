"""Draw the pictures of the README: python docs/make_images.py"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import kernalg as ka
from kernalg import plot
from kernalg.learning.optimal_ridge import optimal_ridge
from kernalg.learning.regression import measured_curve_on_sphere

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


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    learning_curve()
    multiple_descent()
