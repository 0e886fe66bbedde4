# The window of a convolution or pooling: its size, stride, padding and dilation.

from libc.stdint cimport INT32_MAX

ctypedef struct Window:
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t stride_height
    Py_ssize_t stride_width
    Py_ssize_t pad_top
    Py_ssize_t pad_left
    Py_ssize_t dilation_height
    Py_ssize_t dilation_width


cdef inline Window as_window(window, bint dilated=False) except *:
    """Unpack a `cnnx._util.windows.Window`; only some kernels take one that is dilated."""
    cdef Window unpacked
    (
        unpacked.height, unpacked.width,
        unpacked.stride_height, unpacked.stride_width,
        unpacked.pad_top, unpacked.pad_left,
        unpacked.dilation_height, unpacked.dilation_width,
    ) = window
    if (
        min(unpacked.height, unpacked.width, unpacked.stride_height, unpacked.stride_width) < 1
        or min(unpacked.dilation_height, unpacked.dilation_width) < 1
        or min(unpacked.pad_top, unpacked.pad_left) < 0
        or max(window) > INT32_MAX
    ):
        raise ValueError(f'window: expected sizes and strides of at least 1, and padding, of {INT32_MAX} at most, '
                         f'got {window}')
    if not dilated and max(unpacked.dilation_height, unpacked.dilation_width) > 1:
        raise ValueError(f'window: expected no dilation, got {window}')
    return unpacked
