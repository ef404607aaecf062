"""Float64 helpers of generated modules; their text is copied into every module that needs them.

Written without branches and without library calls, so that LLVM turns a loop over them into vector
instructions: a scalar `math.atan2` costs 30 to 40 ns, this one about 1 ns in a loop.
"""

# mypy: ignore-errors

from math import sqrt

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def fma(typingctx, a, b, c):
    """a*b + c, rounded once."""

    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@intrinsic
def power_of_two(typingctx, n):
    """2**n for an integral float64 -1022 <= n <= 1023: n + 1023 lands in the low bits of a number near 2**52."""

    def codegen(context, builder, signature, args):
        integer, double = ir.IntType(64), ir.DoubleType()
        shifted = builder.fadd(args[0], ir.Constant(double, 2.0**52 + 1023))
        bits = builder.shl(builder.bitcast(shifted, integer), ir.Constant(integer, 52))
        return builder.bitcast(bits, double)

    return types.float64(types.float64), codegen


@njit(error_model="numpy")
def exp(x):
    """e**x, error below 2 units in the last place; 0 and inf beyond the range.

    x = n log 2 + r with |r| <= log(2)/2, and e**r = 1 + r + r**2 P(r), P interpolating at 10 Chebyshev points
    (error 2e-17). The power of two is applied in two halves, since 2**n alone may leave the range.
    """
    x = 710.0 if x > 710.0 else x
    x = -750.0 if x < -750.0 else x
    n = fma(x, 1.4426950408889634, 6755399441055744.0) - 6755399441055744.0
    r = fma(n, -1.9082149292705877e-10, fma(n, -0.6931471803691238, x))
    p = fma(r, 2.510038549551032e-08, 2.7620088445409746e-07)
    p = fma(r, p, 2.7557268459997064e-06)
    p = fma(r, p, 2.4801521295954376e-05)
    p = fma(r, p, 0.00019841269863053618)
    p = fma(r, p, 0.0013888888917213717)
    p = fma(r, p, 0.008333333333330062)
    p = fma(r, p, 0.04166666666662413)
    p = fma(r, p, 0.16666666666666669)
    p = fma(r, p, 0.5000000000000001)
    half = (n * 0.5 + 6755399441055744.0) - 6755399441055744.0
    return (1.0 + fma(r * r, p, r)) * power_of_two(half) * power_of_two(n - half)


@njit(error_model="numpy")
def sinh_near_zero(x):
    """sinh x for |x| <= 1: x + x**3 Q(x**2), Q interpolating at 7 Chebyshev points. Error below 3 units."""
    z = x * x
    q = fma(z, 7.746178593018827e-13, 1.6057679623801638e-10)
    q = fma(z, q, 2.5052117695907823e-08)
    q = fma(z, q, 2.7557319191381816e-06)
    q = fma(z, q, 0.00019841269841324198)
    q = fma(z, q, 0.008333333333333299)
    q = fma(z, q, 0.16666666666666666)
    return fma(x * z, q, x)


@njit(error_model="numpy")
def sinh(x):
    """(e**x - e**-x)/2, error below 3 units in the last place."""
    e = exp(abs(x))
    far = 0.5 * (e - 1.0 / e)
    return sinh_near_zero(x) if abs(x) <= 1.0 else (far if x > 0.0 else -far)


@njit(error_model="numpy")
def exp_sinh(a, b):
    """e**a sinh b without overflow on the way: e**(a + |b|) (1 - e**(-2|b|))/2 beyond |b| = 1, else as it stands."""
    size = abs(b)
    outer = exp(a + size)
    inner = exp(-size)
    value = outer * (sinh_near_zero(size) * inner if size <= 1.0 else 0.5 * (1.0 - inner * inner))
    return value if b > 0.0 else (-value if b < 0.0 else b)  # also where the exponential is infinite


@njit(error_model="numpy")
def exp_cosh(a, b):
    """e**a cosh b without overflow on the way."""
    size = abs(b)
    inner = exp(-size)
    return 0.5 * exp(a + size) * (1.0 + inner * inner)


@njit(error_model="numpy")
def cosh(x):
    """(e**x + e**-x)/2, error below 3 units in the last place."""
    e = exp(abs(x))
    return 0.5 * (e + 1.0 / e)


@njit(error_model="numpy")
def atan2(y, x):
    """The angle of (x, y); 0 at the origin. Error below 2 units in the last place.

    With t = (small - large)/(small + large) above tan(pi/8), and t = small/large below, |t| <= tan(pi/8), and
    atan(t) = t + t*z*P(z), z = t*t, P interpolating at the 11 Chebyshev points (relative error 7e-18).
    """
    ax, ay = abs(x), abs(y)
    large = ax if ax > ay else ay
    small = ay if ax > ay else ax
    shifted = small > 0.41421356237309503 * large
    num = small - large if shifted else small
    den = small + large if shifted else large
    t = num / (den if den != 0.0 else 1.0)
    z = t * t
    p = fma(z, -0.019176872294336067, 0.039231646190551486)
    p = fma(z, p, -0.05085449318930035)
    p = fma(z, p, 0.05858148832731273)
    p = fma(z, p, -0.06664511438164644)
    p = fma(z, p, 0.07692183190171728)
    p = fma(z, p, -0.09090904578095735)
    p = fma(z, p, 0.11111111015255669)
    p = fma(z, p, -0.14285714284666534)
    p = fma(z, p, 0.1999999999999552)
    p = fma(z, p, -0.3333333333333333)
    # pi/4, pi/2 and pi in two parts: the low parts keep the error below 2 ulp after the additions.
    angle = t * z * p + t
    angle = 0.7853981633974483 + (angle + 3.061616997868383e-17) if shifted else angle
    angle = 1.5707963267948966 - (angle - 6.123233995736766e-17) if ay > ax else angle
    angle = 3.141592653589793 - (angle - 1.2246467991473532e-16) if x < 0.0 else angle
    return -angle if y < 0.0 else angle


# Pairs (hi, lo) as in `double_double`, here without branches.


@njit(error_model="numpy")
def exact_sum(a, b):
    """(s, e) with s = fl(a + b) and s + e = a + b exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit(error_model="numpy")
def exact_product(a, b):
    """(p, e) with p = fl(a b) and p + e = a b exactly."""
    p = a * b
    return p, fma(a, b, -p)


@njit(error_model="numpy")
def pair_add(a, a_low, b, b_low):
    """Sum; relative error at most 3 * 2**-106 even when it cancels."""
    s, e = exact_sum(a, b)
    t, f = exact_sum(a_low, b_low)
    e += t
    high = s + e
    e = (e - (high - s)) + f
    s = high + e
    return s, e - (s - high)


@njit(error_model="numpy")
def pair_mul(a, a_low, b, b_low):
    """Product."""
    p = a * b
    e = fma(a, b_low, fma(a_low, b, fma(a, b, -p)))
    s = p + e
    return s, e - (s - p)


@njit(error_model="numpy")
def pair_div(a, a_low, b, b_low):
    """Quotient: the float quotient and the quotient of its exact remainder."""
    q = a / b
    e = (fma(-q, b, a) + fma(-q, b_low, a_low)) / b
    s = q + e
    return s, e - (s - q)


@njit(error_model="numpy")
def pair_sqrt(a, a_low):
    """Square root, with one Newton step."""
    root = sqrt(a)
    e = (fma(-root, root, a) + a_low) / (root + root)
    e = e if root > 0.0 else 0.0
    s = root + e
    return s, e - (s - root)


@njit(error_model="numpy")
def pair_exp(a, a_low):
    """e**(a + a_low)."""
    y = exp(a)
    return fma(y, a_low, y)


@njit(error_model="numpy")
def pair_exp_sinh(a, a_low, b, b_low):
    """e**a sinh b for exponents that are pairs, since a + |b| may cancel; e**a may overflow."""
    high, low = pair_add(a, a_low, abs(b), b_low if b >= 0.0 else -b_low)
    size = abs(b)
    half = pair_exp(0.5 * high, 0.5 * low)
    inner = exp(-size)
    value = half * (sinh_near_zero(size) * inner if size <= 1.0 else 0.5 * (1.0 - inner * inner)) * half
    return value if b > 0.0 else (-value if b < 0.0 else b)


@njit(error_model="numpy")
def pair_exp_cosh(a, a_low, b, b_low):
    """e**a cosh b for exponents that are pairs."""
    high, low = pair_add(a, a_low, abs(b), b_low if b >= 0.0 else -b_low)
    half = pair_exp(0.5 * high, 0.5 * low)
    inner = exp(-abs(b))
    return half * (0.5 * (1.0 + inner * inner)) * half
