"""Expectations E[f(u) g(v)] of a Gaussian pair, in closed form."""
