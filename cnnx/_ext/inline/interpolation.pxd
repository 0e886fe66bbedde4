# Lines as sums of neighbouring lines: see interpolation.pyx.

from libc.string cimport memset

from cnnx._ext.inline.floating cimport floating


cdef inline void find_band(Py_ssize_t H, const floating* row, Py_ssize_t* band) noexcept nogil:
    """Write where the numbers of a row that are not zero begin and end."""
    band[0], band[1] = 0, H
    while band[1] > 0 and row[band[1] - 1] == 0:
        band[1] -= 1
    while band[0] < band[1] and row[band[0]] == 0:
        band[0] += 1


cdef inline void add_lines(
    const Py_ssize_t* band, Py_ssize_t L,
    const floating* row,                     # IN   (H)
    const floating* x,                       # IN   (H, L)
    floating* y,                             # OUT  (L)
) noexcept nogil:
    cdef Py_ssize_t h, i
    memset(y, 0, L * sizeof(floating))
    for h in range(band[0], band[1]):
        for i in range(L):
            y[i] += row[h] * x[h * L + i]
