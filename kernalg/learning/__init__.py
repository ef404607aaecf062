"""Learning curves of kernel regression: predicted, and measured."""
