"""What the fuzzers share: a process that fuzzes, and one that watches it and tells how it went.

libFuzzer ends its process when the time is up, and a crash would end it before; so the numbers come from outside.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import atheris

MOST_MEMORY = 1024  # MiB
MOST_SECONDS = 20  # for one input
CHILD = 'CNNX_FUZZ_FOLDER'


def main(name, seeds, check, mutate, largest):
    """Fuzz, or start the process that does, and print a line with its results.

    Args:
        name: of the fuzzer.
        seeds: a function that returns the inputs to begin with, bytes.
        check: a function of a path, at which an input stands, that raises where it is badly received.
        mutate: a function of (data, largest, random seed) that returns another input, or None to leave it to libFuzzer.
        largest: bytes of an input.
    """
    if CHILD in os.environ:
        _fuzz(Path(os.environ[CHILD]), check, mutate)
    parser = argparse.ArgumentParser(description=f'{name}: feed it damaged files until the time is up')
    parser.add_argument('--seconds', type=int, default=600, metavar='N', help='how long (default: 600)')
    parser.add_argument('--findings', type=Path, default=Path('.'), metavar='DIR', help='where a finding is left')
    parser.add_argument('--seed', type=int, default=1, metavar='N', help='of the mutations')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, 'corpus')
        corpus.mkdir()
        for i, data in enumerate(seeds()):
            (corpus / str(i)).write_bytes(data)
        command = [
            *(sys.executable, '-X', 'faulthandler', sys.argv[0], str(corpus)),
            *(f'-max_total_time={options.seconds}', f'-max_len={largest}', f'-seed={options.seed}'),
            *(f'-rss_limit_mb={MOST_MEMORY}', f'-timeout={MOST_SECONDS}', '-print_final_stats=1'),
            f'-artifact_prefix={options.findings.resolve()}/{name}-',
        ]
        began = time.monotonic()
        run = subprocess.run(command, env={**os.environ, CHILD: folder}, capture_output=True, text=True)
        seconds = time.monotonic() - began
    inputs = [
        int(count) for count in re.findall(r'^#(\d+)|number_of_executed_units: (\d+)', run.stderr, re.M)[-1] if count
    ]
    if run.returncode:
        print(run.stderr[-5000:], file=sys.stderr)
    print(f'{name}: {seconds:.0f} s, {inputs[0]:,} inputs, {int(run.returncode != 0)} findings')
    sys.exit(run.returncode != 0)


def _fuzz(folder, check, mutate):
    path = folder / 'input'

    def check_bytes(data):
        path.write_bytes(data)
        check(path)

    def mutated(data, largest, seed):
        found = mutate(data, largest, seed)
        return atheris.Mutate(data, largest) if found is None or len(found) > largest else found

    atheris.Setup(sys.argv, check_bytes, custom_mutator=mutated)
    atheris.Fuzz()
