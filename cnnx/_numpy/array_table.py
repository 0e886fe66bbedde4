"""Tables of arrays: parameters, gradients and state that an optimizer updates in one call."""


class ArrayTable:
    """Rows of arrays; the arrays of a row have the same length, and all arrays the same dtype."""

    def __init__(self, rows):
        self.rows = rows
        self.size = sum(row[0].size for row in rows)
