"""The kernels in plain NumPy: the same functions as the compiled ones, with the same parameters.

They are here to be read, to run where nothing could be compiled, and to hold the compiled kernels to.
`num_threads` is accepted and has no effect.
"""
