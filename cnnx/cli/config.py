"""`cnnx config`: the version, the kernels in use and why, threads, compiler: what a bug report should contain."""

from cnnx.kernels import show_config


def add_arguments(parser):
    pass


def run(options):
    """Print what `cnnx.show_config` does."""
    show_config()
