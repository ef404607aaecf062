"""From kernels back to activations: which one-hidden-layer network has a given kernel."""
