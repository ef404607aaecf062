"""Executable derivations: one module a formula, each with a `derive()`; the Markdown page beside it is generated."""
