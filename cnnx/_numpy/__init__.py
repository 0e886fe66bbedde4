"""The NumPy kernels: the same functions and parameters as the compiled ones in `cnnx/_ext`, in plain NumPy.

They are easy to read, they run where the compiled kernels are missing, and they are the reference that the compiled
kernels are tested against. `num_threads` has no effect here.
"""
