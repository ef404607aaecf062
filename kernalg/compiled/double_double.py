"""Double-double arithmetic: numbers of about 31 digits as unevaluated sums of two float64, for Numba loops.

A number is a tuple ``(hi, lo)`` with ``hi = fl(hi + lo)``; every ``dd_`` function takes and returns such pairs.
Generated code calls these functions for the few kernel entries whose float64 formula cancels.

Against 60-digit arithmetic every function of one variable has a relative error below 1e-30 (measured: 1e-31), also in
the tails of erfc and the normal cdf. This holds for arguments and results between 1e-270 and 1e300 in magnitude: below,
digits are lost gradually because ``lo`` underflows, and factors above 1e300 overflow in Dekker's splitting, which
multiplies by 2^27 + 1. Beyond the range of float64 the result is 0 or inf. A NaN comes out only where the exact
function is undefined, or for ``dd_sin`` and ``dd_cos`` beyond 2^20 * pi/2, where the stored digits of pi end.

The text of this file becomes a generated module of its own (`kernalg.compiled.shared`), compiled once and imported by
the others: Numba's disk cache sees only the file of the caller, and would serve stale code after an edit here. Hence
nothing from kernalg is imported, and ``__all__`` lists every global of the file in an order in which each name comes
after the names it uses. One file, though a long one, because it must stand alone.

Sums and products: Dekker (1971), Knuth (TAOCP 4.2.2); their error bounds: Joldes, Muller and Popescu, "Tight and
rigorous error bounds for basic building blocks of double-word arithmetic", ACM TOMS 44 (2017).
"""

import math

import numpy as np
from numba import njit

__all__ = [  # noqa: RUF022, the order is that of dependence
    "LN2_PIECES",
    "HALF_PI_PIECES",
    "HALF_PI_REST",
    "LN2",
    "QUARTER_PI",
    "INV_TWO_PI",
    "TWO_OVER_SQRT_PI",
    "INV_SQRT2",
    "TAIL_FACTOR",
    "TAIL_PERIOD",
    "INVERSE_FACTORIALS",
    "TAIL_WEIGHTS",
    "LEGENDRE",
    "two_sum",
    "quick_two_sum",
    "two_prod",
    "dd_neg",
    "dd_abs",
    "dd_scale",
    "dd_from_product",
    "dd_add_float",
    "dd_add",
    "dd_sub",
    "dd_mul_float",
    "dd_mul",
    "dd_div",
    "dd_sqrt",
    "dd_pow_int",
    "dd_dot",
    "dd_rectified_moment",
    "dd_expm1_small",
    "dd_exp_scaled",
    "dd_exp",
    "dd_expm1",
    "dd_log1p_small",
    "dd_log",
    "dd_log1p",
    "dd_sinh",
    "dd_cosh",
    "dd_tanh",
    "dd_sincos",
    "dd_sin",
    "dd_cos",
    "dd_atan2",
    "dd_quadrant",
    "dd_rectified_power",
    "dd_atan",
    "dd_cofactor",
    "dd_asin",
    "dd_acos",
    "dd_exp_minus_square",
    "dd_tail_sum",
    "dd_erf_and_erfc",
    "dd_erf",
    "dd_erfc",
    "dd_normal_parts",
    "dd_normal_cdf",
    "dd_wedge_integral",
    "dd_wedge",
    "dd_corner",
    "dd_bivariate_normal_cdf",
    "dd_erfcx",
    "dd_exp_normal_cdf",
    "dd_scaled_wedge",
    "dd_exp_bivariate_normal_cdf",
]

# The constants are pairs, or rows [hi, lo] and [node hi, node lo, weight hi, weight lo]; the tests recompute them.
LN2_PIECES = (0.6931471805592082, 7.371002565161996e-13, 5.8029889835956905e-25)
HALF_PI_PIECES = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.478427660348229e-32)
HALF_PI_REST = (2.0670321098263988e-43, 2.5463057961157e-60)
LN2 = (0.6931471805599453, 2.3190468138462996e-17)
QUARTER_PI = (0.7853981633974483, 3.061616997868383e-17)
INV_TWO_PI = (0.15915494309189535, -9.839338337591243e-18)
TWO_OVER_SQRT_PI = (1.1283791670955126, 1.533545961316588e-17)
INV_SQRT2 = (0.7071067811865476, -4.833646656726457e-17)
TAIL_FACTOR = (0.22507907903927651, 3.4483068790877357e-18)
TAIL_PERIOD = (17.771531752633464, 5.80909572490434e-16)


def _ratio(numerator, denominator):
    """The quotient of two integers as a pair."""
    hi = numerator / denominator
    a, b = hi.as_integer_ratio()
    return hi, (numerator * b - a * denominator) / (denominator * b)


INVERSE_FACTORIALS = np.array([_ratio(1, math.factorial(n)) for n in range(30)])
# exp(-n^2/8) for n = 1 ... 25, the weights of the trapezoidal rule of `dd_erf_and_erfc`.
TAIL_WEIGHTS = np.array(
    [
        [0.8824969025845955, -5.224526916735663e-17],
        [0.6065306597126334, -6.593178415491414e-19],
        [0.32465246735834974, -9.10471120916123e-18],
        [0.1353352832366127, -1.042381423288669e-17],
        [0.04393693362340742, -3.041675322518486e-18],
        [0.011108996538242306, 4.1424253318674305e-19],
        [0.002187491118182885, 2.904510593183388e-20],
        [0.00033546262790251185, -1.4402182510425795e-20],
        [4.006529739295107e-05, -1.1666690912674224e-21],
        [3.726653172078671e-06, 5.469656173191849e-23],
        [2.699578503363014e-07, 2.5752590750771833e-23],
        [1.522997974471263e-08, -7.170963862158597e-25],
        [6.691586091292782e-10, 4.268871960451264e-26],
        [2.289734845645553e-11, -8.919910408461467e-28],
        [6.101936677605324e-13, 4.403226364564369e-29],
        [1.2664165549094176e-14, 1.858907962674809e-31],
        [2.0469717131642043e-16, -3.90918771782998e-33],
        [2.576757109154981e-18, -9.514389375594685e-35],
        [2.5261637809256925e-20, 3.10084404031326e-38],
        [1.9287498479639178e-22, -3.7546101071240096e-39],
        [1.146876582225596e-24, 7.200287187866882e-41],
        [5.311092249679095e-27, 1.3155006494239871e-43],
        [1.915478951967148e-29, 4.7262617393054206e-46],
        [5.380186160021138e-32, 1.6916090256898304e-48],
        [1.1769109439216723e-34, 2.008244871266915e-51],
    ]
)
# Positive nodes and their weights of the Gauss-Legendre rule with 48 nodes.
LEGENDRE = np.array(
    [
        [0.9987710072524261, 5.011046051231786e-17, 0.0031533460523058385, 1.3920372283104607e-19],
        [0.9935301722663508, -6.428632460316898e-18, 0.0073275539012762625, -3.9114090268036732e-19],
        [0.9841245837228269, 6.593628137227424e-18, 0.01147723457923454, -4.03895941543336e-19],
        [0.9705915925462473, -2.218229932861139e-17, 0.015579315722943849, 1.5487603835954287e-20],
        [0.9529877031604309, -4.938686313282237e-17, 0.01961616045735553, -1.1754149174281186e-18],
        [0.9313866907065543, 9.832679206045463e-19, 0.02357076083932438, -1.318461866029279e-18],
        [0.9058791367155696, 4.002366881667906e-17, 0.027426509708356948, 4.912999487781932e-19],
        [0.8765720202742479, 3.1950874789317805e-17, 0.03116722783279809, -7.407859786015937e-19],
        [0.8435882616243935, 4.342980832163702e-17, 0.03477722256477044, -3.3221280630093793e-18],
        [0.8070662040294426, 2.814410562010173e-18, 0.03824135106583071, -2.438082581706997e-18],
        [0.7671590325157404, -1.8562158801255765e-17, 0.04154508294346475, 1.3763003561853365e-18],
        [0.7240341309238146, 2.0778907844904654e-17, 0.04467456085669428, 3.550990312115456e-19],
        [0.6778723796326639, 1.4586740755241772e-17, 0.04761665849249048, -3.3347014682055506e-18],
        [0.6288673967765136, 2.540659998695754e-17, 0.05035903555385447, 2.3467503721654377e-18],
        [0.5772247260839727, 2.0363105582515247e-17, 0.05289018948519367, -4.494514590402326e-20],
        [0.523160974722233, 3.720824202353758e-17, 0.055199503699984165, -1.9713169222532382e-18],
        [0.4669029047509584, -9.503582851539439e-18, 0.057277292100403214, 1.7016046635533744e-18],
        [0.4086864819907167, 8.691937274322318e-18, 0.059114839698395635, 3.9860307139872193e-19],
        [0.34875588629216075, -1.6820256051647457e-17, 0.06070443916589388, -8.390306244028093e-19],
        [0.28736248735545555, 2.3074443470174402e-17, 0.062039423159892665, -9.67663927479786e-19],
        [0.22476379039468905, 1.0924451316434937e-17, 0.06311419228625402, 5.653692882177054e-18],
        [0.1612223560688917, 9.054193107272835e-18, 0.06392423858464819, 1.3110197759349048e-18],
        [0.0970046992094627, 1.956238146311195e-18, 0.06446616443595009, -5.734370004353738e-18],
        [0.03238017096286936, 1.615165171161926e-18, 0.06473769681268392, 4.989749094578831e-18],
    ]
)


@njit(error_model="numpy")
def two_sum(a, b):
    """Floats ``(s, e)`` with ``s = fl(a + b)`` and ``s + e = a + b`` exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit(error_model="numpy")
def quick_two_sum(a, b):
    """Like `two_sum` for ``|a| >= |b|``; an infinite or NaN ``a`` comes back with ``e = 0`` (Dekker)."""
    s = a + b
    if s - s == 0.0:
        return s, b - (s - a)
    return (s if a - a == 0.0 else a), 0.0


@njit(error_model="numpy")
def two_prod(a, b):
    """Floats ``(p, e)`` with ``p = fl(a * b)`` and ``p + e = a * b`` exactly while ``e`` does not underflow (Dekker).

    A fused multiply-add would save a third of the time of a product, but Numba reaches it only through an LLVM
    intrinsic, which can be called neither from Python nor with compilation switched off.
    """
    p = a * b
    t = 134217729.0 * a
    a1 = t - (t - a)
    a2 = a - a1
    t = 134217729.0 * b
    b1 = t - (t - b)
    b2 = b - b1
    e = ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2
    return p, e if p - p == 0.0 else 0.0


@njit(error_model="numpy")
def dd_neg(x):
    """-x."""
    return -x[0], -x[1]


@njit(error_model="numpy")
def dd_abs(x):
    """|x|."""
    if x[0] < 0.0:
        return -x[0], -x[1]
    return abs(x[0]), x[1]


@njit(error_model="numpy")
def dd_scale(x, factor):
    """x * factor for a float that is a power of two: exact."""
    return x[0] * factor, x[1] * factor


@njit(error_model="numpy")
def dd_from_product(a, b):
    """The exact product of two floats."""
    return two_prod(a, b)


@njit(error_model="numpy")
def dd_add_float(x, b):
    """x + b for a float b; relative error at most 2 * 2^-106."""
    s, e = two_sum(x[0], b)
    return quick_two_sum(s, e + x[1])


@njit(error_model="numpy")
def dd_add(x, y):
    """x + y; relative error at most 3 * 2^-106 even when the sum cancels."""
    s, e = two_sum(x[0], y[0])
    t, f = two_sum(x[1], y[1])
    s, e = quick_two_sum(s, e + t)
    return quick_two_sum(s, e + f)


@njit(error_model="numpy")
def dd_sub(x, y):
    """x - y, as accurate as `dd_add`."""
    return dd_add(x, (-y[0], -y[1]))


@njit(error_model="numpy")
def dd_mul_float(x, b):
    """x * b for a float b."""
    p, e = two_prod(x[0], b)
    return quick_two_sum(p, e + x[1] * b)


@njit(error_model="numpy")
def dd_mul(x, y):
    """x * y; relative error at most 5 * 2^-106."""
    p, e = two_prod(x[0], y[0])
    return quick_two_sum(p, e + (x[0] * y[1] + x[1] * y[0]))


@njit(error_model="numpy")
def dd_div(x, y):
    """x / y: the float quotient, corrected by the quotient of its exact remainder."""
    q = x[0] / y[0]
    if q - q != 0.0 or math.isinf(y[0]):
        return q, 0.0
    r = dd_sub(x, dd_mul_float(y, q))
    return quick_two_sum(q, r[0] / y[0])


@njit(error_model="numpy")
def dd_sqrt(x):
    """Square root, with one Newton step from the float root; NaN for x < 0."""
    s = math.sqrt(x[0])
    if not 0.0 < s < math.inf:
        return s, 0.0
    p, e = two_prod(s, s)
    return quick_two_sum(s, ((x[0] - p) - e + x[1]) / (2.0 * s))


@njit(error_model="numpy")
def dd_pow_int(x, n):
    """x^n for an integer n of either sign, by repeated squaring; the relative error grows like |n| * 2^-104."""
    power = (1.0, 0.0)
    base = x
    m = abs(n)
    while m > 0:
        if m & 1:
            power = dd_mul(power, base)
        m >>= 1
        if m > 0:
            base = dd_mul(base, base)
    if n < 0:
        return dd_div((1.0, 0.0), power)
    return power


@njit(error_model="numpy")
def dd_dot(x, y):
    """Sum of x[i] * y[i] of two float arrays; error below (n + 1) * 2^-104 * sum |x[i] y[i]|."""
    total = (0.0, 0.0)
    for i in range(x.shape[0]):
        total = dd_add(total, two_prod(x[i], y[i]))
    return total


@njit(error_model="numpy")
def dd_rectified_moment(n, m, constant, c, s, leg):
    """E[u_+^n v_+^m] / sqrt(q1)^(n-m) of a Gaussian pair, n >= m, relatively accurate also towards correlation -1.

    With x = |c|/s, y = leg/s and z = (1 - x)/2 = leg^2 / (2 s (s + |c|)),

    * E[u_+^n (-v)_+^m] (for c > 0; for c < 0 with v) = s^m ``constant`` y^(n+m+1) 2F1(n + 1, m + 1; (n+m+3)/2; z) with
      z <= 1/2, all terms of whose series are positive;
    * for c > 0, v_+^m = v^m - (-1)^m (-v)_+^m, and E[u_+^n v^m] is a polynomial in x and y with positive terms, at
      least twice what is subtracted.

    Parameters
    ----------
    n, m : int
    constant : pair
        The wedge's constant, n! m! (n+m)!! / (n+m+1)! divided by 2 pi, or by 2 sqrt(2 pi) when n + m is odd.
    c, s, leg : pair
        Covariance, s = sqrt(q1 q2) and leg = sqrt(s^2 - c^2). s = 0 is taken as correlation 0.

    Examples
    --------
    >>> third = dd_div(INV_TWO_PI, (3.0, 0.0))
    >>> round(dd_rectified_moment(1, 1, third, (-0.6, 0.0), (1.0, 0.0), dd_cofactor((0.6, 0.0)))[0], 12)
    0.038773783883
    """
    x, y, z = (0.0, 0.0), (1.0, 0.0), (0.5, 0.0)
    if s[0] != 0.0:
        size = dd_abs(c)
        x, y = dd_div(size, s), dd_div(leg, s)
        z = dd_scale(dd_div(dd_mul(leg, y), dd_add(s, size)), 0.5)
    scale = dd_pow_int(s, m)
    total, term, k = (1.0, 0.0), (1.0, 0.0), 0.0
    while term[0] > 1e-33 * total[0]:
        factor = dd_div((1.0 * (n + 1 + k) * (m + 1 + k), 0.0), ((0.5 * (n + m + 3) + k) * (k + 1.0), 0.0))
        term = dd_mul(dd_mul(term, z), factor)
        total = dd_add(total, term)
        k += 1.0
    tail = dd_mul(dd_mul(constant, dd_pow_int(y, n + m + 1)), total)
    if c[0] < 0.0:
        return dd_mul(scale, tail)
    # E[Z_+^order] of order n + m, then for j = 0, 2, ... the coefficients of x^(m-j) y^j
    weight = dd_sqrt(INV_TWO_PI) if (n + m) % 2 else (0.5, 0.0)
    for order in range(n + m - 1, 1, -2):
        weight = dd_mul_float(weight, float(order))
    whole = (0.0, 0.0)
    for j in range(0, m + 1, 2):
        powers = dd_mul(dd_pow_int(x, m - j), dd_pow_int(y, j))
        whole = dd_add(whole, dd_mul(weight, powers))
        weight = dd_div(dd_mul_float(weight, float((m - j) * (m - j - 1))), (float((j + 2) * (n + m - j - 1)), 0.0))
    return dd_mul(scale, dd_add(whole, tail) if m % 2 else dd_sub(whole, tail))


@njit(error_model="numpy")
def dd_expm1_small(x):
    """exp(x) - 1 for |x| <= 0.36: Taylor's series at x/64, then six times (1 + s)^2 - 1 = 2s + s^2."""
    t = dd_scale(x, 0.015625)
    s = (INVERSE_FACTORIALS[12, 0], INVERSE_FACTORIALS[12, 1])
    for n in range(11, 0, -1):
        s = dd_add(dd_mul(s, t), (INVERSE_FACTORIALS[n, 0], INVERSE_FACTORIALS[n, 1]))
    s = dd_mul(s, t)
    for _ in range(6):
        s = dd_add(dd_scale(s, 2.0), dd_mul(s, s))
    return s


@njit(error_model="numpy")
def dd_exp_scaled(x, shift):
    """exp(x) * 2^shift, for results whose exp(x) alone would overflow.

    x = k log 2 + r with |r| <= log(2)/2. The first two pieces of log 2 have 40 bits, so that k times them is exact and
    the absolute error of r stays near 1e-33 for k up to 1100.
    """
    if x[0] != x[0]:
        return x[0], 0.0
    if x[0] > 2000.0:
        return math.inf, 0.0
    if x[0] < -2000.0:
        return 0.0, 0.0
    k = np.floor(x[0] * 1.4426950408889634 + 0.5)
    r = dd_add_float(x, -k * LN2_PIECES[0])
    r = dd_add_float(r, -k * LN2_PIECES[1])
    r = dd_add_float(r, -k * LN2_PIECES[2])
    y = dd_add_float(dd_expm1_small(r), 1.0)
    hi = math.ldexp(y[0], int(k) + shift)
    if math.isinf(hi):
        return hi, 0.0
    return hi, math.ldexp(y[1], int(k) + shift)


@njit(error_model="numpy")
def dd_exp(x):
    """exp(x); inf above 709.78, 0 below -745.2."""
    return dd_exp_scaled(x, 0)


@njit(error_model="numpy")
def dd_expm1(x):
    """exp(x) - 1, relatively accurate near 0."""
    if abs(x[0]) < 0.35:
        return dd_expm1_small(x)
    return dd_add_float(dd_exp_scaled(x, 0), -1.0)


@njit(error_model="numpy")
def dd_log1p_small(t):
    """log(1 + t) for -0.3 <= t <= 0.42: y + log1p(z), y the float value, z = (t - expm1(y)) / exp(y) tiny."""
    y = math.log1p(t[0])
    if y == 0.0:
        return t
    e = dd_expm1_small((y, 0.0))
    z = dd_div(dd_sub(t, e), dd_add_float(e, 1.0))
    return dd_add_float(z, y)


@njit(error_model="numpy")
def dd_log(x):
    """Natural logarithm, relatively accurate near 1; -inf at 0, NaN below."""
    if not 0.0 < x[0] < math.inf:
        return math.log(x[0]), 0.0
    mantissa, k = math.frexp(x[0])
    if mantissa < 0.7071067811865476:
        k -= 1
    m = (math.ldexp(x[0], -k), math.ldexp(x[1], -k))
    return dd_add(dd_mul_float(LN2, float(k)), dd_log1p_small(dd_add_float(m, -1.0)))


@njit(error_model="numpy")
def dd_log1p(x):
    """log(1 + x), relatively accurate near 0."""
    if -0.29 < x[0] < 0.41:
        return dd_log1p_small(x)
    return dd_log(dd_add_float(x, 1.0))


@njit(error_model="numpy")
def dd_sinh(x):
    """Hyperbolic sine: (e + e / (1 + e)) / 2 with e = expm1(|x|), whose terms have one sign."""
    a = dd_abs(x)
    if a[0] > 40.0:
        s = dd_exp_scaled(a, -1)
    else:
        e = dd_expm1(a)
        s = dd_scale(dd_add(e, dd_div(e, dd_add_float(e, 1.0))), 0.5)
    return dd_neg(s) if x[0] < 0.0 else s


@njit(error_model="numpy")
def dd_cosh(x):
    """Hyperbolic cosine."""
    a = dd_abs(x)
    e = dd_exp_scaled(a, -1)
    if a[0] > 40.0:
        return e
    return dd_add(e, dd_div((0.25, 0.0), e))


@njit(error_model="numpy")
def dd_tanh(x):
    """Hyperbolic tangent: e / (e + 2) with e = expm1(2|x|)."""
    a = dd_abs(x)
    t = (1.0, 0.0)
    if not a[0] > 40.0:
        e = dd_expm1(dd_scale(a, 2.0))
        t = dd_div(e, dd_add_float(e, 2.0))
    return dd_neg(t) if x[0] < 0.0 else t


@njit(error_model="numpy")
def dd_sincos(x):
    """``(sin x, cos x)``, two pairs, each relatively accurate also next to its zeros; NaN for |x| > 2^20 * pi/2.

    x = k pi/2 + r. The first four pieces of pi/2 have 32 bits, so that k times them is exact and the subtractions that
    cancel are exact too.
    """
    k = np.floor(x[0] * 0.6366197723675814 + 0.5)
    if not abs(k) <= 1048576.0:
        return (math.nan, 0.0), (math.nan, 0.0)
    r = x
    if k != 0.0:
        for i in range(4):
            r = dd_add_float(r, -k * HALF_PI_PIECES[i])
        r = dd_sub(r, dd_mul_float(HALF_PI_REST, k))
    q = dd_neg(dd_mul(r, r))
    s = (INVERSE_FACTORIALS[29, 0], INVERSE_FACTORIALS[29, 1])
    c = (INVERSE_FACTORIALS[28, 0], INVERSE_FACTORIALS[28, 1])
    for n in range(26, -1, -2):
        s = dd_add(dd_mul(s, q), (INVERSE_FACTORIALS[n + 1, 0], INVERSE_FACTORIALS[n + 1, 1]))
        c = dd_add(dd_mul(c, q), (INVERSE_FACTORIALS[n, 0], INVERSE_FACTORIALS[n, 1]))
    s = dd_mul(s, r)
    quadrant = int(k) & 3
    if quadrant & 1:
        s, c = c, dd_neg(s)
    if quadrant & 2:
        s, c = dd_neg(s), dd_neg(c)
    return s, c


@njit(error_model="numpy")
def dd_sin(x):
    """Sine."""
    return dd_sincos(x)[0]


@njit(error_model="numpy")
def dd_cos(x):
    """Cosine."""
    return dd_sincos(x)[1]


@njit(error_model="numpy")
def dd_atan2(y, x):
    """The angle of the point (x, y), in [-pi, pi], with the signs of zeros as in C.

    The float angle a, corrected by tan(angle - a) = (y cos a - x sin a) / (x cos a + y sin a).
    """
    a = math.atan2(y[0], x[0])
    if y[0] == 0.0 or x[0] == 0.0 or math.isinf(y[0]) or math.isinf(x[0]):
        return dd_mul_float(QUARTER_PI, np.floor(a * 1.2732395447351628 + 0.5))
    s, c = dd_sincos((a, 0.0))
    z = dd_div(dd_sub(dd_mul(y, c), dd_mul(x, s)), dd_add(dd_mul(x, c), dd_mul(y, s)))
    return dd_add_float(z, a)


@njit(error_model="numpy")
def dd_quadrant(c, s, leg):
    """P(u > 0, v > 0) = atan2(leg, -c) / (2 pi); 1/4 for s = 0."""
    if s[0] == 0.0:
        return 0.25, 0.0
    return dd_mul(INV_TWO_PI, dd_atan2(leg, dd_neg(c)))


@njit(error_model="numpy")
def dd_rectified_power(n, constant, c, s, leg, quadrant):
    """E[u_+^n v_+^n] given K_0 = `dd_quadrant`: K_1 = c K_0 + leg/(2 pi), K_{j+1} = (2j+1) c K_j + j^2 leg^2 K_{j-1}.

    For negative c, where the sums cancel (for n = 1 below -s/2), it is `dd_rectified_moment`.
    """
    if n > 0 and (c[0] < 0.0 if n > 1 else -2.0 * c[0] > s[0]):
        return dd_rectified_moment(n, n, constant, c, s, leg)
    before, moment = (0.0, 0.0), quadrant
    for j in range(n):
        lower = dd_mul(INV_TWO_PI, leg) if j == 0 else dd_mul_float(dd_mul(dd_mul(leg, leg), before), 1.0 * j * j)
        before, moment = moment, dd_add(dd_mul_float(dd_mul(c, moment), 2.0 * j + 1.0), lower)
    return moment


@njit(error_model="numpy")
def dd_atan(x):
    """Arctangent."""
    return dd_atan2(x, (1.0, 0.0))


@njit(error_model="numpy")
def dd_cofactor(x):
    """sqrt(1 - x^2) without cancellation; NaN for |x| > 1."""
    return dd_sqrt(dd_mul(dd_sub((1.0, 0.0), x), dd_add_float(x, 1.0)))


@njit(error_model="numpy")
def dd_asin(x):
    """Arcsine; NaN for |x| > 1."""
    return dd_atan2(x, dd_cofactor(x))


@njit(error_model="numpy")
def dd_acos(x):
    """Arccosine; NaN for |x| > 1."""
    return dd_atan2(dd_cofactor(x), x)


@njit(error_model="numpy")
def dd_exp_minus_square(x, scale):
    """exp(-scale * x^2) for scale 1 or 1/2, with x^2 as a sum of three floats: a pair is off by 2^-106 x^2."""
    if abs(x[0]) > 40.0:
        return 0.0, 0.0
    p, e = two_prod(x[0], x[0])
    t, f = two_prod(2.0 * x[0], x[1])
    s, g = two_sum(e, t)
    p, s = quick_two_sum(p, s)
    rest = -scale * (f + g + x[1] * x[1])
    y = dd_exp_scaled((-scale * p, -scale * s), 0)
    return dd_add_float(y, y[0] * rest)


@njit(error_model="numpy")
def dd_tail_sum(x, square):
    """The trapezoidal rule of step 8^(-1/2) for (2 x / pi) int_0^inf exp(-t^2) / (t^2 + x^2) dt."""
    total = dd_div((0.5, 0.0), square)
    for n in range(1, 26):
        weight = (TAIL_WEIGHTS[n - 1, 0], TAIL_WEIGHTS[n - 1, 1])
        total = dd_add(total, dd_div(weight, dd_add_float(square, 0.125 * n * n)))
    return dd_mul(dd_mul(TAIL_FACTOR, x), total)


@njit(error_model="numpy")
def dd_erf_and_erfc(x, square, decay):
    """``(erf x, erfc x)`` for x >= 0, given its square and decay = exp(-square), both relatively accurate.

    Below 1/2, erf x = (2/sqrt pi) x exp(-x^2) sum_n (2 x^2)^n / (2n + 1)!!. Above, the trapezoidal rule, step 8^(-1/2),
    for erfc x = (2 x / pi) exp(-x^2) int_0^inf exp(-t^2) / (t^2 + x^2) dt, with the residue of the pole t = ix, which
    leaves a relative error exp(-8 pi^2) = 5e-35 (Chiarella and Reichel, Math. Comp. 22 (1968)). The terms of both
    sums are positive.
    """
    if x[0] > 40.0:
        return (1.0, 0.0), (0.0, 0.0)
    if x[0] < 0.5:
        total = (1.0, 0.0)
        for n in range(23, 0, -1):
            total = dd_mul(total, dd_div(dd_scale(square, 2.0), (2.0 * n + 1.0, 0.0)))
            total = dd_add_float(total, 1.0)
        erf = dd_mul(dd_mul(TWO_OVER_SQRT_PI, x), dd_mul(decay, total))
        return erf, dd_sub((1.0, 0.0), erf)
    erfc = dd_mul(decay, dd_tail_sum(x, square))
    if x[0] < 8.0:
        pole = dd_add_float(dd_exp_scaled(dd_mul(TAIL_PERIOD, x), 0), -1.0)
        erfc = dd_sub(erfc, dd_div((2.0, 0.0), pole))
    return dd_sub((1.0, 0.0), erfc), erfc


@njit(error_model="numpy")
def dd_erf(x):
    """Error function, relatively accurate near 0."""
    a = dd_abs(x)
    erf = dd_erf_and_erfc(a, dd_mul(a, a), dd_exp_minus_square(a, 1.0))[0]
    return dd_neg(erf) if x[0] < 0.0 else erf


@njit(error_model="numpy")
def dd_erfc(x):
    """Complementary error function, relatively accurate in its tail."""
    a = dd_abs(x)
    erf, erfc = dd_erf_and_erfc(a, dd_mul(a, a), dd_exp_minus_square(a, 1.0))
    return dd_add_float(erf, 1.0) if x[0] < 0.0 else erfc


@njit(error_model="numpy")
def dd_normal_parts(z, decay):
    """``(P(0 < Z < z), P(Z > z))`` for z >= 0 and a standard Gaussian Z, given decay = exp(-z^2/2)."""
    erf, erfc = dd_erf_and_erfc(dd_mul(INV_SQRT2, z), dd_scale(dd_mul(z, z), 0.5), decay)
    return dd_scale(erf, 0.5), dd_scale(erfc, 0.5)


@njit(error_model="numpy")
def dd_normal_cdf(z):
    """P(Z < z) for a standard Gaussian Z, relatively accurate in the left tail."""
    centre, tail = dd_normal_parts(dd_abs(z), dd_exp_minus_square(z, 0.5))
    return tail if z[0] < 0.0 else dd_add_float(centre, 0.5)


@njit(error_model="numpy")
def dd_wedge_integral(c, m, length):
    """c int_0^length exp(-m v - v^2/2) / (c^2 + (m + v)^2) dv by Gauss-Legendre quadrature with 48 nodes."""
    half = dd_scale(length, 0.5)
    c2 = dd_mul(c, c)
    total = (0.0, 0.0)
    for i in range(48):
        j = i >> 1
        node = (LEGENDRE[j, 0], LEGENDRE[j, 1])
        if i & 1:
            node = dd_neg(node)
        v = dd_mul(half, dd_add_float(node, 1.0))
        u = dd_add(v, m)
        exponent = dd_mul(v, dd_add(m, dd_scale(v, 0.5)))
        value = dd_div(dd_exp_scaled(dd_neg(exponent), 0), dd_add(c2, dd_mul(u, u)))
        total = dd_add(total, dd_mul((LEGENDRE[j, 2], LEGENDRE[j, 3]), value))
    return dd_mul(dd_mul(c, half), total)


@njit(error_model="numpy")
def dd_wedge(p, g, centre):
    """``(m, v)`` with W(p, g) = P(X > p, p Y > g X) = m P(X > p) + v, given p >= 0 and centre = P(0 < X < p).

    X and Y are independent standard Gaussians: W is a half-plane cut by the ray from 0 through (p, g). With t = Y / X,
    W(p, g) = (1 / 2 pi) int_{g/p}^inf exp(-p^2 (1 + t^2) / 2) / (1 + t^2) dt = P(X > p) / 2 - T(p, g/p), Owen's T.
    For g >= 0 none of these forms cancels more than two digits:

    * g > 2: m = 0; t = (g + v) / p gives W = (1 / 2 pi) exp(-(p^2 + g^2) / 2) times
      p int_0^inf exp(-g v - v^2 / 2) / (p^2 + (g + v)^2) dv, cut where g v + v^2 / 2 = 76;
    * g <= 2, g <= p: m = 1/2, and T by quadrature in v = p t from 0 to g;
    * p < g <= 2: m = 0, W = T(g, p/g) - P(0 < X < p) P(Y > g), from the rectangle 0 < X < p, Y > g.

    W(p, -g) = P(X > p) - W(p, g). The multiple m is kept apart because two wedges may be subtracted.
    """
    a = dd_abs(g)
    multiple, value = 0.0, (0.0, 0.0)
    if not (p[0] > 39.0 or a[0] > 39.0):
        decay_p = dd_exp_minus_square(p, 0.5)
        decay_a = dd_exp_minus_square(a, 0.5)
        if a[0] > 2.0:
            factor = dd_mul(decay_p, decay_a)
            c, m, length = p, a, (152.0 / (a[0] + math.sqrt(a[0] * a[0] + 152.0)), 0.0)
        elif a[0] <= p[0]:
            multiple = 0.5
            factor = dd_neg(decay_p)
            c, m, length = p, (0.0, 0.0), a
        else:
            factor = decay_a
            c, m, length = a, (0.0, 0.0), p
        value = dd_mul(dd_mul(INV_TWO_PI, factor), dd_wedge_integral(c, m, length))
        if p[0] < a[0] <= 2.0:
            value = dd_sub(value, dd_mul(centre, dd_normal_parts(a, decay_a)[1]))
    if g[0] < 0.0:
        return 1.0 - multiple, dd_neg(value)
    return multiple, value


@njit(error_model="numpy")
def dd_corner(p, q, r, s):
    """(q - r p) / s with s = sqrt(1 - r^2); near r = 1 as ((q - p) + p s^2 / (1 + r)) / s, which never forms 1 - r."""
    if r[0] > 0.5:
        difference = dd_add(dd_sub(q, p), dd_div(dd_mul(p, dd_mul(s, s)), dd_add_float(r, 1.0)))
    elif r[0] < -0.5:
        difference = dd_sub(dd_add(q, p), dd_div(dd_mul(p, dd_mul(s, s)), dd_sub((1.0, 0.0), r)))
    else:
        difference = dd_sub(q, dd_mul(r, p))
    return dd_div(difference, s)


@njit(error_model="numpy")
def dd_bivariate_normal_cdf(h, k, r, s):
    """P(U < h, V < k) for standard Gaussians of correlation r, given s = sqrt(1 - r^2).

    The quadrant is a wedge of the whitened plane, cut by the line through the origin and its corner into two pieces
    W = `dd_wedge`. With p = -h, q = -k, a = (q - r p)/s and b = (p - r q)/s the probability is

    * p, q >= 0: W(p, a) + W(q, b);
    * p >= 0 > q: W(p, a) - W(|q|, b), and the mirror image;
    * p, q < 0: P(0 < Z < |p|) + P(0 < Z < |q|) + W(|p|, -a) + W(|q|, -b).

    Only the second can cancel: when r is near -1 and h near -k, digits relative to a small probability are lost.

    Parameters
    ----------
    h, k : pair
        Limits, infinite ones allowed.
    r, s : pair
        Correlation in [-1, 1] and sqrt(1 - r^2), each as accurate as the caller knows it; s = 0 is the degenerate law
        U = V or U = -V.

    Returns
    -------
    pair
        The probability, with an absolute error below 1e-30 and a relative one of about 1e-31 (1 + a^2), except as said.

    Examples
    --------
    >>> dd_bivariate_normal_cdf((0.0, 0.0), (0.0, 0.0), (0.6, 0.0), dd_cofactor((0.6, 0.0)))[0]
    0.35241638234956674
    """
    if h[0] == -math.inf or k[0] == -math.inf:
        return 0.0, 0.0
    if h[0] == math.inf:
        return dd_normal_cdf(k)
    if k[0] == math.inf:
        return dd_normal_cdf(h)
    if s[0] == 0.0 and r[0] > 0.0:
        return dd_normal_cdf(h if dd_sub(h, k)[0] < 0.0 else k)
    p, q = dd_abs(h), dd_abs(k)
    p_centre, p_tail = dd_normal_parts(p, dd_exp_minus_square(p, 0.5))
    q_centre, q_tail = dd_normal_parts(q, dd_exp_minus_square(q, 0.5))
    if s[0] == 0.0:
        if dd_add(h, k)[0] <= 0.0:
            return 0.0, 0.0
        if h[0] <= 0.0:
            return dd_sub(p_tail, q_tail)
        if k[0] <= 0.0:
            return dd_sub(q_tail, p_tail)
        return dd_add(p_centre, q_centre)
    if p[0] < 1e-100 and q[0] < 1e-100:
        return dd_mul(INV_TWO_PI, dd_atan2(s, dd_neg(r)))
    a = dd_corner(dd_neg(h), dd_neg(k), r, s)
    b = dd_corner(dd_neg(k), dd_neg(h), r, s)
    p_sign, q_sign = 1.0, 1.0
    if h[0] > 0.0 and k[0] > 0.0:
        a, b = dd_neg(a), dd_neg(b)
    elif h[0] > 0.0:
        p_sign = -1.0
    elif k[0] > 0.0:
        q_sign = -1.0
    p_multiple, p_value = dd_wedge(p, a, p_centre)
    q_multiple, q_value = dd_wedge(q, b, q_centre)
    tails = dd_add(dd_scale(p_tail, p_sign * p_multiple), dd_scale(q_tail, q_sign * q_multiple))
    values = dd_add(dd_scale(p_value, p_sign), dd_scale(q_value, q_sign))
    total = dd_add(tails, values)
    if h[0] > 0.0 and k[0] > 0.0:
        return dd_add(dd_add(p_centre, q_centre), total)
    return (0.0, 0.0) if total[0] < 0.0 else total


@njit(error_model="numpy")
def dd_erfcx(x):
    """exp(x^2) erfc(x) for x >= 0."""
    square = dd_mul(x, x)
    if x[0] < 0.5:
        return dd_mul(dd_exp(square), dd_erf_and_erfc(x, square, dd_exp_minus_square(x, 1.0))[1])
    total = dd_tail_sum(x, square)
    if x[0] < 8.0:
        pole = dd_add_float(dd_exp_scaled(dd_mul(TAIL_PERIOD, x), 0), -1.0)
        total = dd_sub(total, dd_div(dd_exp_scaled(square, 1), pole))
    return total


@njit(error_model="numpy")
def dd_exp_normal_cdf(a, b, z):
    """exp(a) P(Z < z), given b = a - z^2/2: exp(b) erfcx(-z / sqrt 2) / 2 where a factor leaves the range.

    Elsewhere as it stands. Near rho = ±1 the terms of a formula cancel only if they all see one rounding of the gap
    q1 q2 - c^2, in z; b is simplified by itself and rounds it anew.
    """
    if z[0] < 0.0 and (z[0] < -30.0 or abs(a[0]) > 600.0):
        return dd_scale(dd_mul(dd_exp(b), dd_erfcx(dd_mul(INV_SQRT2, dd_neg(z)))), 0.5)
    return dd_mul(dd_exp(a), dd_normal_cdf(z))


@njit(error_model="numpy")
def dd_scaled_wedge(p, g, a, h, r):
    """``(m, v)`` with e^a W(p, g) = m e^a P(X > p) + v as in `dd_wedge`, given a - p^2/2 and a - (p^2 + g^2)/2."""
    b = dd_abs(g)
    multiple = 0.0
    if b[0] > 2.0:
        length = (152.0 / (b[0] + math.sqrt(b[0] * b[0] + 152.0)), 0.0)
        value = dd_mul(dd_exp(r), dd_mul(INV_TWO_PI, dd_wedge_integral(p, b, length)))
    elif b[0] <= p[0]:
        multiple = 0.5
        value = dd_neg(dd_mul(dd_exp(h), dd_mul(INV_TWO_PI, dd_wedge_integral(p, (0.0, 0.0), b))))
    else:
        decay = dd_exp_minus_square(b, 0.5)
        centre = dd_normal_parts(p, dd_exp_minus_square(p, 0.5))[0]
        inner = dd_mul(dd_mul(INV_TWO_PI, decay), dd_wedge_integral(b, (0.0, 0.0), p))
        value = dd_mul(dd_exp(a), dd_sub(inner, dd_mul(centre, dd_normal_parts(b, decay)[1])))
    if g[0] < 0.0:
        return 1.0 - multiple, dd_neg(value)
    return multiple, value


@njit(error_model="numpy")
def dd_exp_bivariate_normal_cdf(a, h_rest, k_rest, rest, h, k, h_corner, k_corner, r, s):
    """exp(a) P(U < h, V < k) for standard Gaussians of correlation r, also where exp(a) overflows.

    Given are, simplified as formulas, a - h^2/2, a - k^2/2, a - (h^2 - 2 r h k + k^2) / (2 s^2), and the corners
    (r h - k) / s and (r k - h) / s. The pieces are those of `dd_bivariate_normal_cdf`, each with its own exponent,
    where a factor leaves the range (see `dd_exp_normal_cdf`).
    """
    p, q = dd_abs(h), dd_abs(k)
    in_range = abs(a[0]) < 600.0 and a[0] - rest[0] < 600.0
    if in_range or (h[0] > 0.0 and k[0] > 0.0) or (p[0] < 1e-100 and q[0] < 1e-100):
        return dd_mul(dd_exp(a), dd_bivariate_normal_cdf(h, k, r, s))
    p_multiple, p_value = dd_scaled_wedge(p, h_corner, a, h_rest, rest)
    q_multiple, q_value = dd_scaled_wedge(q, k_corner, a, k_rest, rest)
    if p_multiple > 0.0:
        p_value = dd_add(p_value, dd_scale(dd_exp_normal_cdf(a, h_rest, dd_neg(p)), p_multiple))
    if q_multiple > 0.0:
        q_value = dd_add(q_value, dd_scale(dd_exp_normal_cdf(a, k_rest, dd_neg(q)), q_multiple))
    if h[0] > 0.0:
        p_value = dd_neg(p_value)
    if k[0] > 0.0:
        q_value = dd_neg(q_value)
    total = dd_add(p_value, q_value)
    return (0.0, 0.0) if total[0] < 0.0 else total
