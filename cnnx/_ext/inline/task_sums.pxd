# The gradients of weights that the tasks of a batch have computed, added up in order.

from libc.string cimport memcpy

from cnnx._ext.inline.floating cimport floating
from cnnx._ext.program cimport Span, begin_of, end_of


cdef inline void add_up(
    floating* partials,           # IN, OUT  (tasks, size): the sum goes into the first
    Py_ssize_t size, Py_ssize_t tasks, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    cdef Py_ssize_t task, i
    cdef const floating* partial
    for task in range(1, tasks):
        partial = partials + task * size
        for i in range(first, last):
            partials[i] += partial[i]


cdef inline void add_up_rows(
    const Span* span,             # partial: (tasks, size), a task's being (K + 1, wide): the last row is the bias
    Py_ssize_t K, Py_ssize_t F, Py_ssize_t wide,
    floating* dweights,           # OUT      (K, F), some rows of it
    floating* dbias,              # OUT      (F)
) noexcept nogil:
    """Add up a part of the weights' gradients, in phase FINISH."""
    cdef floating* partials = <floating*> span.partial
    cdef Py_ssize_t k
    for k in range(begin_of(span, K + 1), end_of(span, K + 1)):
        add_up(partials, span.partial_bytes // sizeof(floating), span.tasks, k * wide, k * wide + F)
        memcpy(dweights + k * F if k < K else dbias, partials + k * wide, F * sizeof(floating))
