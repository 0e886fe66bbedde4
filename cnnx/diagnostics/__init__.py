"""Looking into a network: gradients, learning rates, times, backends, classes, and what speaks against a set-up."""
