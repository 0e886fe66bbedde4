"""A page in one file, in which one draws, and sees the drawing travel through the network."""

from cnnx.export.html.page import export

__all__ = ['export']
