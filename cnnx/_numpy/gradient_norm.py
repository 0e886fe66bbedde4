"""The sum of squares of gradients, for their norm."""

import numpy as np


def sum_of_squares(table, column, num_threads):
    """Return the sum of the squares of all numbers in a column of a table, summed in float64."""
    return float(sum(np.square(row[column], dtype=np.float64).sum() for row in table.rows))
