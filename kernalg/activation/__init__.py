"""A neuron, and what it does to a Gaussian."""
