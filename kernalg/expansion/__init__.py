"""Orthogonal expansions and the conversions between them."""
