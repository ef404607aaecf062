"""Pictures of spectra, profiles, learning curves and designed activations, with matplotlib.

Every function takes the value it draws and, optionally, the Axes to draw into (`ax`), and returns the Axes. The style
is set for these pictures only; matplotlib's own settings stay as they are. Series differ in marker or line style as
well as in colour, and the colours differ in lightness: the pictures survive a grey-scale printer.

In a notebook the picture shows itself. To keep it, save the figure, or ask for the bytes of a PNG or SVG file:

>>> import kernalg as ka
>>> from kernalg import plot
>>> s = ka.spectrum(ka.dot_product_kernel("exp(rho)"), ka.Sphere(10), degree=8)
>>> content = plot.png(plot.spectrum, s)  # Path("spectrum.png").write_bytes(content)
>>> content[1:4]
b'PNG'
>>> by_dimension = {f"d = {d}": ka.spectrum(ka.dot_product_kernel("exp(rho)"), ka.Sphere(d), degree=8) for d in (3, 9)}
>>> picture = plot.svg(plot.spectra, by_dimension, quantity="level power")
"""

from kernalg.plot.of_curves import (
    decomposition,
    gradient_flow,
    learning_curve,
    learning_curves,
    loo_over_gcv,
    optimal_ridge,
    random_features,
    staircase,
    z_scores,
)
from kernalg.plot.of_designs import (
    closed_forms,
    design,
    designed_activation,
    designed_coefficients,
    designed_kernel,
    empirical_kernel,
    kernel_fit,
)
from kernalg.plot.of_spectra import digits, profile, spectra, spectrum, target_power
from kernalg.plot.style import AMBER, GRID, INK, NAVY, SKY, STYLE, VERMILION, png, require_matplotlib, svg

__all__ = [
    "AMBER",
    "GRID",
    "INK",
    "NAVY",
    "SKY",
    "STYLE",
    "VERMILION",
    "closed_forms",
    "decomposition",
    "design",
    "designed_activation",
    "designed_coefficients",
    "designed_kernel",
    "digits",
    "empirical_kernel",
    "gradient_flow",
    "kernel_fit",
    "learning_curve",
    "learning_curves",
    "loo_over_gcv",
    "optimal_ridge",
    "png",
    "profile",
    "random_features",
    "require_matplotlib",
    "spectra",
    "spectrum",
    "staircase",
    "svg",
    "target_power",
    "z_scores",
]
