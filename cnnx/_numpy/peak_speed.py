"""Peak speed of multiply-adds in NumPy, which the profiler compares other kernels with."""

import numpy as np


def multiply_adds(count, num_threads):
    """Do about `count` multiply-adds of float32 numbers, as matrix products; return how many."""
    size = 256
    matrix = np.full((size, size), 0.5, np.float32)
    products = count // size**3 + 1
    for _ in range(products):
        matrix @ matrix
    return products * size**3
