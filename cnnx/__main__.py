"""`python -m cnnx`: the command `cnnx`."""

import sys

from cnnx.cli.main import main

if __name__ == '__main__':
    sys.exit(main(prog='python -m cnnx'))
