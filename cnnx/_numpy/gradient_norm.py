"""How large numbers are together."""

import numpy as np


def sum_of_squares(table, column, num_threads):
    """Return the sum of the squares of all numbers of a column of a table, in double."""
    return float(sum(np.square(row[column], dtype=np.float64).sum() for row in table.rows))
