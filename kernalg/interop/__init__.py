"""Our kernels in other people's tools."""
