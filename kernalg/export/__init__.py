"""Formulas as text for other programs: LaTeX, Python, NumPy, C, PyTorch, JAX."""
