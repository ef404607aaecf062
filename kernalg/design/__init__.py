"""Inverse design: from a kernel to the activation that realizes it."""
