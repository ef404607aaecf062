"""Kernels in other people's tools."""
