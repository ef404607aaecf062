"""Expressions and layer programs in, fast functions of arrays out; knows no network."""
