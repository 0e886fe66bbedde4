# Inline helpers that several kernels use, or a kernel and its block: compiled into each module that cimports them.
