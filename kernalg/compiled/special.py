"""Special functions in float64 for Numba loops: normal cdfs, scaled erfc, Dawson's integral and erfi.

Why by hand: Numba reaches SciPy's compiled versions either through function pointers, which differ from process to
process and so switch its disk cache off, or through linker symbols that every process must register before it loads a
cached function, under signatures that are private to SciPy.

Like that of `double_double`, the text of this file is copied into generated modules, for Numba's disk cache does not
notice an edit of a callee in another file: nothing from kernalg is imported, and ``__all__`` lists every global of the
file in an order in which each name comes after the names it uses. The names of the two files are disjoint.
"""

import math

import numpy as np
from numba import njit

__all__ = [  # noqa: RUF022, the order is that of dependence
    "QUADRATURE",
    "SCALED_ERFC_WEIGHTS",
    "DAWSON_WEIGHTS",
    "DAWSON_SERIES",
    "square_with_error",
    "erfcx",
    "normal_cdf",
    "erfi_series",
    "dawson",
    "erfi",
    "wedge_integral",
    "wedge",
    "wedge_corner",
    "bivariate_normal_cdf",
    "exp_normal_cdf",
    "scaled_wedge",
    "exp_bivariate_normal_parts",
    "exp_bivariate_normal_cdf",
]

# Positive nodes and their weights of the Gauss-Legendre rule with 24 nodes.
QUADRATURE = np.array(
    [
        [0.9951872199970213, 0.0123412297999872],
        [0.9747285559713095, 0.028531388628933663],
        [0.9382745520027328, 0.04427743881741981],
        [0.8864155270044011, 0.05929858491543678],
        [0.820001985973903, 0.0733464814110803],
        [0.7401241915785544, 0.08619016153195327],
        [0.6480936519369755, 0.09761865210411388],
        [0.5454214713888396, 0.10744427011596563],
        [0.4337935076260451, 0.1155056680537256],
        [0.3150426796961634, 0.12167047292780339],
        [0.1911188674736163, 0.1258374563468283],
        [0.06405689286260563, 0.12793819534675216],
    ]
)

# exp(-n^2 h^2) for n = 1 ... 12 and h = 1/2; the same for n = 1, 3, ... 27 and h = 1/4.
SCALED_ERFC_WEIGHTS = np.exp(-0.25 * np.arange(1.0, 13.0) ** 2)
DAWSON_WEIGHTS = np.exp(-0.0625 * np.arange(1.0, 28.0, 2.0) ** 2)

# 1 / (n! (2n + 1)), the series of sqrt(pi) erfi(z) / (2 z) in z^2.
DAWSON_SERIES = np.array([1.0 / (math.factorial(n) * (2 * n + 1)) for n in range(24)])


@njit(error_model="numpy")
def square_with_error(z):
    """Floats ``(p, e)`` with p = fl(z^2) and p + e = z^2 exactly, for |z| < 1e150 (Dekker).

    exp(z^2) computed as exp(p) (1 + e) keeps what the rounding of z^2 would cost: up to z^2 units in the last place.
    """
    p = z * z
    t = 134217729.0 * z
    a = t - (t - z)
    b = z - a
    return p, ((a * a - p) + 2.0 * a * b) + b * b


@njit(error_model="numpy")
def erfcx(z):
    """exp(z^2) erfc(z), relative error about 1e-15; inf below -26.6.

    From 1 on, the trapezoidal rule of step h = 1/2 for (2 z / pi) int_0^inf exp(-t^2) / (t^2 + z^2) dt with the residue
    of the pole t = iz: its error is exp(-pi^2 / h^2) = 7e-18 (Chiarella and Reichel, Math. Comp. 22 (1968)).

    Examples
    --------
    >>> round(erfcx(10.0), 15)
    0.056140992743823
    """
    if z < 1.0:
        if z < -27.0:
            return math.inf
        p, e = square_with_error(z)
        y = math.exp(p)
        if math.isinf(y):
            return y
        return (y + y * e) * math.erfc(z)
    if z > 1e8:
        return 0.5641895835477563 / z
    square = z * z
    total = 0.0
    for n in range(12, 0, -1):
        total += SCALED_ERFC_WEIGHTS[n - 1] / (square + 0.25 * n * n)
    total = 0.3183098861837907 * z * (total + 0.5 / square)
    if z < 6.0:
        total -= 2.0 * math.exp(square) / math.expm1(12.566370614359172 * z)
    return total


@njit(error_model="numpy")
def normal_cdf(z):
    """P(Z < z) for a standard Gaussian Z, relative error about 1e-15 also in the left tail.

    Examples
    --------
    >>> normal_cdf(0.0)
    0.5
    """
    if z > -1.0:
        return 0.5 * math.erfc(-0.7071067811865476 * z)
    if z < -39.0:
        return 0.0
    p, e = square_with_error(z)
    y = math.exp(-0.5 * p)
    return 0.5 * (y - y * (0.5 * e)) * erfcx(-0.7071067811865476 * z)


@njit(error_model="numpy")
def erfi_series(z):
    """sqrt(pi) erfi(z) / 2 for |z| <= 1.5, by Taylor's series, whose terms have one sign."""
    square = z * z
    total = 0.0
    for n in range(23, -1, -1):
        total = total * square + DAWSON_SERIES[n]
    return z * total


@njit(error_model="numpy")
def dawson(z):
    """Dawson's integral F(z) = exp(-z^2) int_0^z exp(t^2) dt, relative error about 1e-15.

    From 1.5 on, Rybicki's sampling formula F(z) = pi^(-1/2) sum_{n odd} exp(-(z - n h)^2) / n with h = 1/4, centred on
    the even multiple of h next to z; its error is exp(-pi^2 / (4 h^2)) = 7e-18 (Computers in Physics 3 (1989) 85).

    Examples
    --------
    >>> round(dawson(1.0), 15)
    0.538079506912768
    """
    a = abs(z)
    if a < 1.5:
        return math.exp(-z * z) * erfi_series(z)
    if a > 1e8:
        return 0.5 / z
    centre = 2.0 * np.floor(2.0 * a + 0.5)
    offset = a - 0.25 * centre
    up = math.exp(0.5 * offset)
    down = 1.0 / up
    up_squared, down_squared = up * up, down * down
    total = 0.0
    for i in range(14):
        n = 2.0 * i + 1.0
        total += DAWSON_WEIGHTS[i] * (up / (centre + n) + down / (centre - n))
        up *= up_squared
        down *= down_squared
    return math.copysign(0.5641895835477563 * math.exp(-offset * offset) * total, z)


@njit(error_model="numpy")
def erfi(z):
    """Imaginary error function (2 / sqrt pi) int_0^z exp(t^2) dt, relative error about 1e-15; +-inf beyond 26.6.

    Examples
    --------
    >>> round(erfi(1.0), 14)
    1.65042575879754
    """
    if abs(z) < 1.5:
        return 1.1283791670955126 * erfi_series(z)
    if abs(z) > 27.0:
        return math.copysign(math.inf, z)
    p, e = square_with_error(z)
    y = math.exp(0.5 * p)
    return y * (1.1283791670955126 * dawson(z) * (y + y * e))


@njit(error_model="numpy")
def wedge_integral(c, m, length):
    """c int_0^length exp(-m v - v^2/2) / (c^2 + (m + v)^2) dv by Gauss-Legendre quadrature with 24 nodes."""
    half = 0.5 * length
    total = 0.0
    for i in range(12):
        step = half * QUADRATURE[i, 0]
        v, w = half - step, half + step
        left = math.exp(-v * (m + 0.5 * v)) / (c * c + (m + v) * (m + v))
        right = math.exp(-w * (m + 0.5 * w)) / (c * c + (m + w) * (m + w))
        total += QUADRATURE[i, 1] * (left + right)
    return c * half * total


@njit(error_model="numpy")
def wedge(p, g):
    """``(m, v)`` with W(p, g) = P(X > p, p Y > g X) = m P(X > p) + v, for p >= 0.

    X and Y are independent standard Gaussians: W is a half-plane cut by the ray from 0 through (p, g). With t = Y / X,
    W(p, g) = (1 / 2 pi) int_{g/p}^inf exp(-p^2 (1 + t^2) / 2) / (1 + t^2) dt = P(X > p) / 2 - T(p, g/p), Owen's T.
    For g >= 0 none of these forms cancels more than one digit:

    * g > 3/2: m = 0; t = (g + v) / p gives W = (1 / 2 pi) exp(-(p^2 + g^2) / 2) times
      p int_0^inf exp(-g v - v^2 / 2) / (p^2 + (g + v)^2) dv, cut where g v + v^2 / 2 = 38;
    * g <= 3/2, g <= p: m = 1/2, and T by quadrature in v = p t from 0 to g;
    * p < g <= 3/2: m = 0, W = T(g, p/g) - P(0 < X < p) P(Y > g), from the rectangle 0 < X < p, Y > g.

    W(p, -g) = P(X > p) - W(p, g). The multiple m is kept apart because two wedges may be subtracted.
    """
    a = abs(g)
    multiple, value = 0.0, 0.0
    if not (p > 39.0 or a > 39.0):
        if a > 1.5:
            p2, p_rest = square_with_error(p)
            a2, a_rest = square_with_error(a)
            decay = math.exp(-0.5 * p2) * math.exp(-0.5 * a2) * (1.0 - 0.5 * (p_rest + a_rest))
            value = decay * wedge_integral(p, a, 76.0 / (a + math.sqrt(a2 + 76.0)))
        elif a <= p:
            multiple = 0.5
            p2, p_rest = square_with_error(p)
            value = -math.exp(-0.5 * p2) * (1.0 - 0.5 * p_rest) * wedge_integral(p, 0.0, a)
        else:
            value = math.exp(-0.5 * a * a) * wedge_integral(a, 0.0, p)
        value *= 0.15915494309189535
        if p < a <= 1.5:
            value -= 0.5 * math.erf(0.7071067811865476 * p) * normal_cdf(-a)
    if g < 0.0:
        return 1.0 - multiple, -value
    return multiple, value


@njit(error_model="numpy")
def wedge_corner(p, q, r, s):
    """(q - r p) / s with s = sqrt(1 - r^2); near r = 1 as ((q - p) + p s^2 / (1 + r)) / s, which never forms 1 - r."""
    if r > 0.5:
        return (q - p) / s + p * s / (1.0 + r)
    if r < -0.5:
        return (q + p) / s - p * s / (1.0 - r)
    return (q - r * p) / s


@njit(error_model="numpy")
def bivariate_normal_cdf(h, k, r, s):
    """P(U < h, V < k) for standard Gaussians of correlation r, given s = sqrt(1 - r^2).

    The quadrant is a wedge of the whitened plane, cut by the line through the origin and its corner into two pieces
    W = `wedge`. With p = -h, q = -k, a = (q - r p)/s and b = (p - r q)/s the probability is

    * p, q >= 0: W(p, a) + W(q, b);
    * p >= 0 > q: W(p, a) - W(|q|, b), and the mirror image;
    * p, q < 0: P(0 < Z < |p|) + P(0 < Z < |q|) + W(|p|, -a) + W(|q|, -b).

    Parameters
    ----------
    h, k : float
        Limits, infinite ones allowed.
    r, s : float
        Correlation in [-1, 1] and sqrt(1 - r^2), the latter computed by the caller without the cancellation in 1 - r^2
        (from 1 - r, or from the angle); s = 0 is the degenerate law U = V or U = -V.

    Returns
    -------
    float
        The probability, with an absolute error of about 2e-16 and, for h, k <= 0, a relative error of about
        1e-15 (1 + a^2).

    Examples
    --------
    >>> round(bivariate_normal_cdf(0.0, 0.0, 0.6, 0.8), 15)
    0.352416382349567
    """
    if h == -math.inf or k == -math.inf:
        return 0.0
    if h == math.inf:
        return normal_cdf(k)
    if k == math.inf:
        return normal_cdf(h)
    if s == 0.0 and r > 0.0:
        return normal_cdf(min(h, k))
    p, q = abs(h), abs(k)
    both_centres = 0.5 * math.erf(0.7071067811865476 * p) + 0.5 * math.erf(0.7071067811865476 * q)
    if s == 0.0:
        if h + k <= 0.0:
            return 0.0
        if h > 0.0 and k > 0.0:
            return both_centres
        return abs(normal_cdf(-p) - normal_cdf(-q))
    if p < 1e-100 and q < 1e-100:
        return 0.15915494309189535 * math.atan2(s, -r)
    a = wedge_corner(-h, -k, r, s)
    b = wedge_corner(-k, -h, r, s)
    p_sign, q_sign = 1.0, 1.0
    if h > 0.0 and k > 0.0:
        a, b = -a, -b
    elif h > 0.0:
        p_sign = -1.0
    elif k > 0.0:
        q_sign = -1.0
    p_multiple, p_value = wedge(p, a)
    q_multiple, q_value = wedge(q, b)
    tails = p_sign * p_multiple * normal_cdf(-p) + q_sign * q_multiple * normal_cdf(-q)
    total = tails + (p_sign * p_value + q_sign * q_value)
    if h > 0.0 and k > 0.0:
        return both_centres + total
    return 0.0 if total < 0.0 else total


@njit(error_model="numpy")
def exp_normal_cdf(a, b, z):
    """e^a P(Z < z), given b = a - z^2/2: for z < 0 as e^b erfcx(-z / sqrt 2) / 2, also where e^a overflows.

    Examples
    --------
    >>> round(exp_normal_cdf(5e5, 0.0, -1000.0), 15)
    0.00039894188146
    """
    if z < 0.0:
        return 0.5 * math.exp(b) * erfcx(-0.7071067811865476 * z)
    return math.exp(a) * normal_cdf(z)


@njit(error_model="numpy")
def scaled_wedge(p, g, a, h, r):
    """``(m, v, x)`` with e^a W(p, g) = m e^a P(X > p) + v as in `wedge`, given h = a - p^2/2 and r = a - (p^2 + g^2)/2.

    Each piece of the wedge has one exponent x of the three to itself, so nothing overflows unless the piece does.
    """
    b = abs(g)
    multiple = 0.0
    if b > 1.5:
        exponent = r
        value = wedge_integral(p, b, 76.0 / (b + math.sqrt(b * b + 76.0)))
    elif b <= p:
        multiple, exponent = 0.5, h
        value = -wedge_integral(p, 0.0, b)
    else:
        # pi erf P = 2 pi (erf / 2) P, the factor 1/(2 pi) being common to the three forms
        exponent = a
        centre = 3.141592653589793 * math.erf(0.7071067811865476 * p)
        value = math.exp(-0.5 * b * b) * wedge_integral(b, 0.0, p) - centre * normal_cdf(-b)
    value *= 0.15915494309189535 * math.exp(exponent)
    if g < 0.0:
        return 1.0 - multiple, -value, exponent
    return multiple, value, exponent


@njit(error_model="numpy")
def exp_bivariate_normal_parts(a, h_rest, k_rest, rest, h, k, h_corner, k_corner, r, s):
    """``(value, error)``: `exp_bivariate_normal_cdf` and what bounds its error in units of 2^-53.

    Each piece has a relative error of 10 units and those of its rounded exponent.
    """
    p, q = abs(h), abs(k)
    if (h > 0.0 and k > 0.0) or (p < 1e-100 and q < 1e-100):
        value = math.exp(a) * bivariate_normal_cdf(h, k, r, s)
        return value, value * (10.0 + abs(a))
    p_sign = -1.0 if h > 0.0 else 1.0
    q_sign = -1.0 if k > 0.0 else 1.0
    p_multiple, p_value, p_exponent = scaled_wedge(p, h_corner, a, h_rest, rest)
    q_multiple, q_value, q_exponent = scaled_wedge(q, k_corner, a, k_rest, rest)
    p_tail = p_multiple * exp_normal_cdf(a, h_rest, -p) if p_multiple > 0.0 else 0.0
    q_tail = q_multiple * exp_normal_cdf(a, k_rest, -q) if q_multiple > 0.0 else 0.0
    value = (p_sign * p_tail + q_sign * q_tail) + (p_sign * p_value + q_sign * q_value)
    error = abs(p_value) * (10.0 + abs(p_exponent)) + abs(q_value) * (10.0 + abs(q_exponent))
    error += p_tail * (10.0 + abs(h_rest)) + q_tail * (10.0 + abs(k_rest))
    return (0.0 if value < 0.0 else value), error


@njit(error_model="numpy")
def exp_bivariate_normal_cdf(a, h_rest, k_rest, rest, h, k, h_corner, k_corner, r, s):
    """e^a P(U < h, V < k) for standard Gaussians of correlation r, also where e^a overflows.

    Parameters
    ----------
    a : float
        The exponent.
    h_rest, k_rest, rest : float
        a - h^2/2, a - k^2/2 and a - (h^2 - 2 r h k + k^2) / (2 s^2), which the caller has simplified as formulas: for
        the dual of ELU the last is 0, whatever the size of the others.
    h, k : float
        Limits.
    h_corner, k_corner : float
        (r h - k) / s and (r k - h) / s, simplified likewise; the corner of the quadrant in the whitened plane.
    r, s : float
        Correlation, and sqrt(1 - r^2).

    Examples
    --------
    >>> round(exp_bivariate_normal_cdf(5e5, 0.0, 0.0, -5e5, -1000.0, -1000.0, 1000.0, 1000.0, 0.0, 1.0), 15)
    0.0
    """
    return exp_bivariate_normal_parts(a, h_rest, k_rest, rest, h, k, h_corner, k_corner, r, s)[0]
