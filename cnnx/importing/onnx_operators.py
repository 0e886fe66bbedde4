"""The operators of ONNX that are read: for each a function of a `Call`, which returns what the operator gives."""

from cnnx.importing import onnx_arithmetic, onnx_functions, onnx_shapes, onnx_windows

OPERATORS = {
    **onnx_windows.OPERATORS,
    **onnx_functions.OPERATORS,
    **onnx_shapes.OPERATORS,
    **onnx_arithmetic.OPERATORS,
}
