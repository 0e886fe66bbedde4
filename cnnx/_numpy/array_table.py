"""Arrays that are changed together: what an optimizer goes through at every step."""


class ArrayTable:
    """Rows of arrays: the arrays of a row have one length, all arrays one dtype."""

    def __init__(self, rows):
        self.rows = rows
        self.size = sum(row[0].size for row in rows)
