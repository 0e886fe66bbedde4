"""Run a command and print its peak memory in MiB: `python -m benchmarks.child_memory COMMAND ...`.

This is a process of its own, because a child process inherits the peak of its parent.
"""

import resource
import subprocess
import sys

UNIT = 2**20 if sys.platform == 'darwin' else 2**10  # of ru_maxrss, to the MiB


def main():
    subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / UNIT)


if __name__ == '__main__':
    main()
