# The window that slides over an image.

ctypedef struct Window:
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t stride_height
    Py_ssize_t stride_width
    Py_ssize_t pad_top
    Py_ssize_t pad_left


cdef inline Window as_window(window) except *:
    """Unpack a `cnnx.geometry.Window`."""
    cdef Window unpacked
    (
        unpacked.height, unpacked.width,
        unpacked.stride_height, unpacked.stride_width,
        unpacked.pad_top, unpacked.pad_left,
    ) = window
    return unpacked
