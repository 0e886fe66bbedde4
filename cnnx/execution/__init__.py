"""How one batch runs: which layers, in which order, into which arrays."""
