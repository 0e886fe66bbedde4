"""Downloads of MNIST against servers that misbehave, processes that are killed, and processes that race."""

import gzip
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from mirrors import BAD_ANSWERS, NAMES, SLOW_ANSWERS, described, files_below, made_up_files, start_loading

from cnnx.data import DataError, downloads, mnist, preprocess_mnist_data

pytestmark = pytest.mark.torture

FULL_DATA = os.environ.get('CNNX_DATA_DIR')
KILLS = 100
ROUNDS = 20
AT_ONCE = 8
LONG_AGO = time.time() - 2 * downloads.LEFTOVER_AGE


@pytest.fixture(autouse=True)
def _cache_and_mirrors_alone(monkeypatch):
    monkeypatch.delenv('CNNX_DATA_DIR', raising=False)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')


@pytest.fixture(scope='module')
def full():
    """Return the files of MNIST, compressed, by name, and what they hold."""
    if not FULL_DATA:
        pytest.skip('CNNX_DATA_DIR does not name a folder with the full MNIST')
    packed = {}
    for name in NAMES:
        path = Path(FULL_DATA, name)
        packed[name] = path.read_bytes() if path.exists() else gzip.compress(path.with_suffix('').read_bytes())
    return packed, preprocess_mnist_data(full=True, data_dir=FULL_DATA)


def use_cache(monkeypatch, folder):
    """Make a folder the user's cache, and return where the files belong in it."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(folder))
    return folder / 'cnnx' / 'mnist'


def assert_holds(cache, packed):
    assert files_below(cache) == sorted(NAMES)
    assert damaged_files(cache, packed) == []


def damaged_files(cache, packed):
    return [name for name in NAMES if (cache / name).exists() and (cache / name).read_bytes() != packed[name]]


def assert_same(data, expected):
    for one, other in zip(data, expected, strict=True):
        for array, expected_array in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, expected_array)


def limit_patience(monkeypatch):
    monkeypatch.setattr(downloads, 'TIMEOUT', 1)
    monkeypatch.setattr(downloads, 'GRACE', 2)
    monkeypatch.setattr(downloads, 'SLOWEST_RATE', 1e9)


def test_every_file_survives_every_bad_answer(full, tmp_path, monkeypatch, serve):
    packed, expected = full
    monkeypatch.setattr(mnist, 'FILES', described(packed))
    limit_patience(monkeypatch)
    good = serve(packed)
    kinds = BAD_ANSWERS | SLOW_ANSWERS
    for number, make in enumerate(kinds.values()):
        bad = serve({name: make(data) for name, data in packed.items()})
        cache = use_cache(monkeypatch, tmp_path / str(number))
        monkeypatch.setattr(mnist, 'MIRRORS', (bad.url, bad.url))
        with pytest.raises(DataError, match='cannot be downloaded'):
            preprocess_mnist_data(full=True)
        assert files_below(cache) == []
        good.asked.clear()
        monkeypatch.setattr(mnist, 'MIRRORS', (bad.url, good.url))
        assert_same(preprocess_mnist_data(full=True), expected)
        assert good.asked == list(NAMES)
        assert_holds(cache, packed)
        shutil.rmtree(cache)
    print(f'downloads: {len(kinds)} kinds of failure x {len(NAMES)} files, the next mirror used each time, cache clean')


def test_a_server_that_fails_in_every_way_by_turns_and_then_works(full, tmp_path, monkeypatch, serve):
    packed, expected = full
    monkeypatch.setattr(mnist, 'FILES', described(packed))
    limit_patience(monkeypatch)
    kinds = list((BAD_ANSWERS | SLOW_ANSWERS).values())
    mirror = serve(packed)
    mirror.files[NAMES[0]] = lambda handler: handler.answer(coming.pop(0))
    # It is asked again for as long as it redirects.
    coming = [make(packed[NAMES[0]]) for make in kinds if make is not BAD_ANSWERS['redirects in a circle']]
    coming.append(packed[NAMES[0]])
    monkeypatch.setattr(mnist, 'MIRRORS', (mirror.url,) * len(coming))
    cache = use_cache(monkeypatch, tmp_path)
    failures = len(coming) - 1
    assert_same(preprocess_mnist_data(full=True), expected)
    assert coming == []
    assert_holds(cache, packed)
    print(f'downloads: one server failing in {failures} ways by turns, then working: loaded, cache clean')


def test_killed_at_any_moment_the_next_run_succeeds(tmp_path, monkeypatch, serve):
    packed = made_up_files(train=300, test=100)

    def slowly(data):
        def answer(handler):
            handler.begin(len(data))
            handler.drip(data, 0.01, max(len(data) // 20, 100))

        return answer

    mirror = serve({name: slowly(data) for name, data in packed.items()})
    cache = use_cache(monkeypatch, tmp_path)
    moments = random.Random(1)
    kills = 0
    for _ in range(3 * KILLS):
        asked_before = len(mirror.asked)
        process = start_loading(packed, mirror.url)
        while len(mirror.asked) == asked_before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.6))
        process.kill()
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
        kills += process.returncode != 0
        assert damaged_files(cache, packed) == []
        if kills == KILLS:
            break
        if all((cache / name).exists() for name in NAMES):
            for name in NAMES:
                (cache / name).unlink()
    assert kills == KILLS

    leftovers = list(cache.glob('tmp*'))
    assert len(leftovers) > KILLS / 4, 'too few were killed within a download'
    process = start_loading(packed, mirror.url)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    for path in leftovers:
        os.utime(path, (LONG_AGO, LONG_AGO))
    process = start_loading(packed, mirror.url)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert_holds(cache, packed)
    print(
        f'downloads: {kills} SIGKILLs, {len(leftovers)} within a file, 0 damaged files, '
        'then loaded; 0 left-over files once they were old'
    )


def test_many_processes_at_once_all_succeed(tmp_path, monkeypatch, serve):
    packed = made_up_files(train=300, test=100)
    mirror = serve(packed)
    for number in range(ROUNDS):
        cache = use_cache(monkeypatch, tmp_path / str(number))
        if number % 2:
            cache.mkdir(parents=True)
            (cache / NAMES[0]).write_bytes(packed[NAMES[0]][:-1])
            (cache / 'tmpleftover').write_bytes(b'half a file')
            os.utime(cache / 'tmpleftover', (LONG_AGO, LONG_AGO))
        processes = [start_loading(packed, mirror.url) for _ in range(AT_ONCE)]
        for process in processes:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
        assert_holds(cache, packed)
    print(f'downloads: {ROUNDS} rounds of {AT_ONCE} processes at once, all succeeded, cache clean')
