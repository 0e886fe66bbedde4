"""Run a command and print its peak memory in MiB: `python -m benchmarks.child_memory COMMAND ...`.

A process of its own, because a child begins with the peak of the process that starts it.
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
