"""Expressions and integrals in, balls out: Arb through python-flint."""
