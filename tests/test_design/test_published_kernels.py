"""Kernels of the paper by Simon, Anand and DeWeese (2022), against values computed independently to 30 digits."""

import numpy as np
import pytest
import sympy as sp

import kernalg as ka

COSINES = ("-1", "-1/2", "0", "1/2", "9/10", "1")
DEEP = {
    ("relu", "nngp"): (
        COSINES,
        ["0.62104414715890502203258823883214", "0.64505939990297179430221469844389",
         "0.69884662605983694547737689642118", "0.79782707174323690824369948388856",
         "0.95090138719762910961981452849466", "1.02"],
    ),
    ("relu", "ntk"): (
        COSINES,
        ["1.0856660014222988534575344371801", "1.1688798160896449549330291022392", "1.4747312448642011453978203072798",
         "2.1605116986942307807369731120769", "3.6105088018525892762948859399487", "5.07"],
    ),
    ("erf", "nngp"): (
        ("0", "1/2", "1"),
        ["0.012391311381622721442819903042082", "0.16583511536452362772205772514546",
         "0.45302925611996413838693319305936"],
    ),
    ("erf", "ntk"): (
        ("0", "1/2", "1"),
        ["0.038423798778713777632847046329825", "0.85573403903896315575313071976298",
         "3.7026315719914716277192312064479"],
    ),
}  # fmt: skip
MIMIC = ka.activation(
    "3.8001579818118927*max(x-1.0600013769145225,0)+0.09680930566346302*x+0.9010060417094072"
    "-0.07936104642025432*cos(11.810565331593281*x+0.9340552512015492)"
)


def agrees(value, text, digits=28):
    return abs(sp.N(value, 40) - sp.Float(text, 40)) <= sp.Float(10, 40) ** -digits * abs(sp.Float(text, 40))


@pytest.mark.parametrize(("network", "values"), DEEP.items(), ids=[" ".join(key) for key in DEEP])
def test_deep_kernels_and_the_shallow_networks_that_have_them(network, values):
    phi, kind = network
    deep = ka.mlp(phi, depth=4, w_var=2, b_var="1/100")
    profile = getattr(deep, kind).profile()
    for cosine, text in zip(*values, strict=True):
        assert agrees(profile.value(cosine, digits=30), text)
    found = ka.shallow(deep, kind, degree=60)
    made = found.kernel().profile()
    for cosine, text in zip(*values, strict=True):
        assert abs(float(made.value(cosine, digits=20)) - float(text)) <= found.error.kernel * (1 + 1e-9)


def test_the_published_mimic():
    texts = ["1.1830643914117653601916422369686", "0.64620569394784425415517113065748",
             "0.61123673308941051397449861922132", "0.37407203984098171519143400886155",
             "0.021809592454453071123237665024953", "-0.1569513294500680656905999512884",
             "-0.079865312633312657996165355644944"]  # fmt: skip
    assert all(agrees(b, t, 26) for b, t in zip(MIMIC.hermite(6, digits=32), texts, strict=True))
    assert agrees(MIMIC.dual.value(1, 1, 1, digits=32), "2.3913522874300983946702087323233")
    assert agrees(MIMIC.dual.derivative.value(1, 1, 1, digits=32), "2.7390771496059289869824904351748")
    kernel = ka.serial(ka.Dense(1, 0), MIMIC, ka.Dense(1, 0)).ntk.profile()
    values = {"1": "5.130429437036027381652699167498", "0": "1.399641354226490751349592444592",
              "1/2": "2.1733957734414732450914143029058", "9/10": "3.6624828612883516343851877027969",
              "-1": "1.025215014622258206088357247552"}  # fmt: skip
    for cosine, text in values.items():
        assert agrees(kernel.value(cosine, digits=30), text)


def test_half_a_fast_sine():
    kernel = ka.mlp("sin(6*x)/2", depth=1, w_var=1).ntk
    profile = kernel.profile()
    assert agrees(profile.value("1/2", digits=30), "3.6171201893692500042660210356319e-8")
    assert agrees(profile.value("9/10", digits=30), "0.11407654121744644134652578567616")
    assert agrees(profile.value(1, digits=40), sp.N(sp.Rational(37, 8) + sp.Rational(35, 8) * sp.exp(-72), 40))
    a = profile.taylor(80)
    assert int(np.argmax(a)) == 37 and np.isclose(a[37], 0.6131657835850101447934421297673, rtol=1e-14)
    assert ka.design(kernel).activation.expr == ka.parse("sin(6*x)/2", (ka.x,))
