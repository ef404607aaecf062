"""The text of a one-hidden-layer network in the NTK parameterization, in each language.

Every text scales its inputs to |x|^2 = d first, for there the designed kernel holds, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy as sp

from kernalg.checks import whole_number
from kernalg.errors import DomainError
from kernalg.formula import exact_number


@dataclass(frozen=True, slots=True)
class OneHiddenLayer:
    """Variances of the hidden layer and of the readout, and the width; made by `one_hidden_layer`."""

    w_var: sp.Expr
    b_var: sp.Expr
    readout: tuple[sp.Expr, sp.Expr]
    width: int

    @property
    def constants(self) -> dict[str, str]:
        """Literals of the four standard deviations, and the width."""
        variances = (self.w_var, self.b_var, *self.readout)
        names = ("SIGMA_W", "SIGMA_B", "SIGMA_V", "SIGMA_C")
        return {name: repr(float(sp.sqrt(v))) for name, v in zip(names, variances, strict=True)} | {
            "WIDTH": str(self.width)
        }


def one_hidden_layer(w_var: Any, b_var: Any, readout: Any, width: Any) -> OneHiddenLayer:
    """The checked facts; DomainError if a variance is negative, or w_var or the width is not positive."""
    if not isinstance(readout, tuple | list) or len(readout) != 2:
        raise DomainError(f"readout={readout!r}: a pair (variance of the weights, variance of the bias) is needed")
    given = {"w_var": w_var, "b_var": b_var, "readout[0]": readout[0], "readout[1]": readout[1]}
    exact = {name: exact_number(value, name) for name, value in given.items()}
    for name, value in exact.items():
        allowed = value.is_positive if name == "w_var" else value.is_nonnegative
        if value.free_symbols or not allowed:
            raise DomainError(f"{name} = {value}: a variance is a number, {'positive' if name == 'w_var' else '>= 0'}")
    made = tuple(exact.values())
    return OneHiddenLayer(made[0], made[1], (made[2], made[3]), whole_number("width", width, 1))


_SAYS = """One hidden layer in the NTK parameterization, all parameters N(0, 1) at the start:
h = SIGMA_W / sqrt(d) W x + SIGMA_B beta, f(x) = SIGMA_V / sqrt(WIDTH) V phi(h) + SIGMA_C gamma.
INPUT NORMALIZATION: every input is scaled to |x|^2 = d, its number of entries, before it enters."""

_PYTHON = '''
SIGMA_W, SIGMA_B, SIGMA_V, SIGMA_C = @SIGMA_W@, @SIGMA_B@, @SIGMA_V@, @SIGMA_C@
WIDTH = @WIDTH@


def normalized(x):
    """The input scaled to |x|^2 = d."""
    norm = math.sqrt(sum(t * t for t in x))
    return [t * math.sqrt(len(x)) / norm for t in x]


def initial_parameters(d, seed=0):
    """W (WIDTH rows of d), beta, v (WIDTH), gamma: one output."""
    draw = random.Random(seed).gauss
    rows = [[draw(0.0, 1.0) for _ in range(d)] for _ in range(WIDTH)]
    beta, v = ([draw(0.0, 1.0) for _ in range(WIDTH)] for _ in range(2))
    return rows, beta, v, draw(0.0, 1.0)


def network(parameters, x):
    """f(x) of one input."""
    rows, beta, v, gamma = parameters
    scale, x = SIGMA_W / math.sqrt(len(x)), normalized(x)
    hidden = (scale * sum(w * t for w, t in zip(row, x)) + SIGMA_B * b for row, b in zip(rows, beta))
    return SIGMA_V / math.sqrt(WIDTH) * sum(a * @NAME@(h) for a, h in zip(v, hidden)) + SIGMA_C * gamma
'''

_ARRAYS = '''
SIGMA_W, SIGMA_B, SIGMA_V, SIGMA_C = @SIGMA_W@, @SIGMA_B@, @SIGMA_V@, @SIGMA_C@
WIDTH = @WIDTH@


def normalized(X):
    """Rows scaled to |x|^2 = d."""
    return X * (X.shape[-1] ** 0.5 / XX.linalg.norm(X, axis=-1, keepdims=True))

'''

_NUMPY = '''
class Network:
    """f(X) of rows X, shape (n, d) -> (n, outputs)."""

    def __init__(self, d, outputs=1, width=WIDTH, seed=0):
        draw = np.random.default_rng(seed).standard_normal
        self.W, self.beta = draw((width, d)), draw(width)
        self.V, self.gamma = draw((outputs, width)), draw(outputs)

    def hidden(self, X):
        """Pre-activations, shape (n, width)."""
        return SIGMA_W / X.shape[1] ** 0.5 * normalized(X) @ self.W.T + SIGMA_B * self.beta

    def __call__(self, X):
        X = np.asarray(X, dtype=float)
        return SIGMA_V / len(self.W) ** 0.5 * @NAME@(self.hidden(X)) @ self.V.T + SIGMA_C * self.gamma
'''

_JAX = '''
def initial_parameters(key, d, outputs=1, width=WIDTH):
    """A dictionary of parameters, for `network`, jax.grad and optimizers."""
    keys = jax.random.split(key, 4)
    shapes = {"W": (width, d), "beta": (width,), "V": (outputs, width), "gamma": (outputs,)}
    return {name: jax.random.normal(k, shape) for k, (name, shape) in zip(keys, shapes.items())}


def network(parameters, X):
    """f(X) of rows X, shape (n, d) -> (n, outputs)."""
    width, d = parameters["W"].shape
    hidden = SIGMA_W / d**0.5 * normalized(X) @ parameters["W"].T + SIGMA_B * parameters["beta"]
    return SIGMA_V / width**0.5 * @NAME@(hidden) @ parameters["V"].T + SIGMA_C * parameters["gamma"]
'''

_TORCH = '''
SIGMA_W, SIGMA_B, SIGMA_V, SIGMA_C = @SIGMA_W@, @SIGMA_B@, @SIGMA_V@, @SIGMA_C@
WIDTH = @WIDTH@


def normalized(X):
    """Rows scaled to |x|^2 = d."""
    return X * (X.shape[-1] ** 0.5 / torch.linalg.vector_norm(X, dim=-1, keepdim=True))


class Network(torch.nn.Module):
    """f(X) of rows X, shape (n, d) -> (n, outputs)."""

    def __init__(self, d, outputs=1, width=WIDTH):
        super().__init__()
        self.W = torch.nn.Parameter(torch.randn(width, d))
        self.beta = torch.nn.Parameter(torch.randn(width))
        self.V = torch.nn.Parameter(torch.randn(outputs, width))
        self.gamma = torch.nn.Parameter(torch.randn(outputs))
        self.activation = Activation()

    def forward(self, X):
        width, d = self.W.shape
        hidden = SIGMA_W / d**0.5 * normalized(X) @ self.W.T + SIGMA_B * self.beta
        return SIGMA_V / width**0.5 * self.activation(hidden) @ self.V.T + SIGMA_C * self.gamma
'''

_C = """
#define SIGMA_W @SIGMA_W@
#define SIGMA_B @SIGMA_B@
#define SIGMA_V @SIGMA_V@
#define SIGMA_C @SIGMA_C@
enum { WIDTH = @WIDTH@ };

/* f(x) of one input of d entries. W: WIDTH rows of d entries; beta, v: WIDTH entries. */
double network(const double *x, size_t d, const double *W, const double *beta, const double *v, double gamma) {
    double square = 0.0, total = 0.0;
    for (size_t j = 0; j < d; j++) square += x[j] * x[j];
    /* sqrt(d)/|x| normalizes the input, SIGMA_W/sqrt(d) belongs to the layer */
    double scale = SIGMA_W / sqrt(square);
    for (size_t i = 0; i < WIDTH; i++) {
        double h = 0.0;
        for (size_t j = 0; j < d; j++) h += W[i * d + j] * x[j];
        total += v[i] * @NAME@(scale * h + SIGMA_B * beta[i]);
    }
    return SIGMA_V / sqrt((double)WIDTH) * total + SIGMA_C * gamma;
}
"""

_TEMPLATES = {
    "python": _PYTHON,
    "numpy": _ARRAYS.replace("XX", "np") + _NUMPY,
    "jax": _ARRAYS.replace("XX", "jnp") + _JAX,
    "torch": _TORCH,
    "c": _C,
}


def network_text(layer: OneHiddenLayer, name: str, language: str) -> str:
    """The text, for an activation that is called `name` (an `Activation` module in PyTorch)."""
    text = _TEMPLATES[language]
    for key, value in (layer.constants | {"NAME": name}).items():
        text = text.replace(f"@{key}@", value)
    if language == "c":
        return "\n/* " + _SAYS.replace("\n", "\n   ") + " */\n" + text.lstrip("\n")
    return "\n\n# " + _SAYS.replace("\n", "\n# ") + "\n" + text.lstrip("\n")
