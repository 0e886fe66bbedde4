"""Check that gradients are finite."""

import numpy as np


def all_finite(table, column, num_threads):
    """Return whether all numbers in a column of a table are finite: neither NaN nor infinite."""
    return all(bool(np.isfinite(row[column]).all()) for row in table.rows)
