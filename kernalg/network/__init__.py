"""Layers compose duals into NNGP and tangent kernels."""
