"""Downloads: mirrors that fail, the cache, and processes at once."""

import errno
import os
import signal
import socket
import time

import pytest
from mirrors import (
    BAD_ANSWERS,
    NAMES,
    SLOW_ANSWERS,
    assert_is_official,
    files_below,
    save_all,
    start_loading,
    use_mirrors,
)

from cnnx.data import DataError, downloads, preprocess_mnist_data

IMAGES = NAMES[0]


@pytest.fixture
def refusing():
    """Return the URL of a port that is taken and refuses connections."""
    with socket.socket() as bound:
        bound.bind(('127.0.0.1', 0))
        yield f'http://127.0.0.1:{bound.getsockname()[1]}/mnist/'


def limit_downloads(monkeypatch, seconds):
    monkeypatch.setattr(downloads, 'GRACE', seconds)
    monkeypatch.setattr(downloads, 'SLOWEST_RATE', 1e9)


def test_download(official, cache, monkeypatch, serve, refusing):
    mirror = serve(official)
    use_mirrors(monkeypatch, mirror.url, refusing)
    assert_is_official(preprocess_mnist_data(full=True), official)
    assert sorted(mirror.asked) == sorted(NAMES)
    assert files_below(cache) == sorted(NAMES)
    assert {name: (cache / name).read_bytes() for name in NAMES} == official


def test_second_call_asks_no_server(official, cache, monkeypatch, serve):
    mirror = serve(official)
    use_mirrors(monkeypatch, mirror.url)
    preprocess_mnist_data(full=True)
    mirror.asked.clear()
    assert_is_official(preprocess_mnist_data(full=True), official)
    assert mirror.asked == []


def test_a_full_cache_needs_no_network(official, cache, monkeypatch, refusing):
    save_all(cache, official)
    use_mirrors(monkeypatch, refusing, refusing)
    assert_is_official(preprocess_mnist_data(full=True), official)


def test_the_second_mirror_is_used_when_the_first_refuses(official, cache, monkeypatch, serve, refusing):
    mirror = serve(official)
    use_mirrors(monkeypatch, refusing, mirror.url)
    assert_is_official(preprocess_mnist_data(full=True), official)
    assert sorted(mirror.asked) == files_below(cache) == sorted(NAMES)


@pytest.mark.parametrize('kind', BAD_ANSWERS)
def test_the_second_mirror_is_used_when_the_first_serves_badly(official, cache, monkeypatch, serve, kind):
    bad = serve({**official, IMAGES: BAD_ANSWERS[kind](official[IMAGES])})
    good = serve(official)
    use_mirrors(monkeypatch, bad.url, good.url)
    assert_is_official(preprocess_mnist_data(full=True), official)
    assert IMAGES in bad.asked
    assert good.asked == [IMAGES]
    assert files_below(cache) == sorted(NAMES)


@pytest.mark.parametrize('kind', SLOW_ANSWERS)
def test_the_second_mirror_is_used_when_the_first_is_slow(official, cache, monkeypatch, serve, kind):
    monkeypatch.setattr(downloads, 'TIMEOUT', 0.7)
    limit_downloads(monkeypatch, seconds=1.2)
    bad = serve({**official, IMAGES: SLOW_ANSWERS[kind](official[IMAGES])})
    good = serve(official)
    use_mirrors(monkeypatch, bad.url, good.url)
    assert_is_official(preprocess_mnist_data(full=True), official)
    assert good.asked == [IMAGES]
    assert files_below(cache) == sorted(NAMES)


def test_a_mirror_that_falls_silent_is_given_up(official, cache, monkeypatch, serve):
    monkeypatch.setattr(downloads, 'TIMEOUT', 0.7)
    good = serve(official)
    with socket.create_server(('127.0.0.1', 0)) as silent:  # the system takes the connection, nobody answers
        use_mirrors(monkeypatch, f'http://127.0.0.1:{silent.getsockname()[1]}/mnist/', good.url)
        assert_is_official(preprocess_mnist_data(full=True), official)
    assert sorted(good.asked) == sorted(NAMES)


@pytest.mark.parametrize('kind', BAD_ANSWERS)
def test_all_mirrors_fail(official, cache, monkeypatch, serve, refusing, kind):
    bad = serve({name: BAD_ANSWERS[kind](data) for name, data in official.items()})
    use_mirrors(monkeypatch, refusing, bad.url)
    with pytest.raises(DataError) as caught:
        preprocess_mnist_data(full=True)
    message = str(caught.value)
    assert refusing in message
    assert bad.url in message
    assert IMAGES in message
    assert 'data_dir' in message
    assert not cache.exists() or files_below(cache) == []


def test_a_cache_that_cannot_be_made(official, tmp_path, monkeypatch, serve):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    (tmp_path / 'cache').write_text('a file where the folder should be')
    use_mirrors(monkeypatch, serve(official).url)
    with pytest.raises(DataError, match=r'cannot be downloaded[\s\S]*data_dir'):
        preprocess_mnist_data(full=True)


@pytest.mark.parametrize('damage', [b'', b'junk'], ids=['empty', 'junk'])
def test_a_damaged_file_in_the_cache_is_downloaded_again(official, cache, monkeypatch, serve, damage):
    mirror = serve(official)
    use_mirrors(monkeypatch, mirror.url)
    save_all(cache, {**official, IMAGES: damage})
    assert_is_official(preprocess_mnist_data(full=True), official)
    assert mirror.asked == [IMAGES]
    assert (cache / IMAGES).read_bytes() == official[IMAGES]


def test_a_damaged_file_in_the_cache_is_not_used_when_all_mirrors_fail(official, cache, monkeypatch, refusing):
    save_all(cache, {**official, IMAGES: official[IMAGES][:-1]})
    use_mirrors(monkeypatch, refusing)
    with pytest.raises(DataError, match=IMAGES):
        preprocess_mnist_data(full=True)


@pytest.mark.parametrize(('kind', 'words'), [('trickles', 'incomplete after'), ('goes on for ever', 'longer than')])
def test_what_was_given_up_is_reported(official, cache, monkeypatch, serve, kind, words):
    limit_downloads(monkeypatch, seconds=0.2)
    answers = BAD_ANSWERS | SLOW_ANSWERS
    mirror = serve({IMAGES: answers[kind](official[IMAGES])})
    use_mirrors(monkeypatch, mirror.url)
    with pytest.raises(DataError, match=words) as caught:
        preprocess_mnist_data(full=True)
    assert f'{mirror.url}{IMAGES}' in str(caught.value)
    assert str(cache) in str(caught.value)
    assert files_below(cache) == []


def test_a_full_disk(official, cache, monkeypatch, serve):
    def write(file, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(downloads._BoundedFile, 'write', write)
    use_mirrors(monkeypatch, serve(official).url)
    with pytest.raises(DataError, match=os.strerror(errno.ENOSPC)) as caught:
        preprocess_mnist_data(full=True)
    assert str(cache) in str(caught.value)
    assert files_below(cache) == []


@pytest.fixture
def read_only(cache):
    """Return the cache, into which nothing can be written."""
    cache.mkdir(parents=True)
    cache.chmod(0o555)
    if os.access(cache, os.W_OK):
        pytest.skip('this user may write anywhere')
    yield cache
    cache.chmod(0o755)


def test_a_cache_that_cannot_be_written(official, read_only, monkeypatch, serve):
    use_mirrors(monkeypatch, serve(official).url)
    with pytest.raises(DataError, match=r'cannot be downloaded[\s\S]*data_dir') as caught:
        preprocess_mnist_data(full=True)
    assert str(read_only) in str(caught.value)


def test_a_full_cache_need_not_be_writable(official, read_only, monkeypatch, refusing):
    read_only.chmod(0o755)
    age(save_all(read_only, {**official, 'tmpleftover': b''}) / 'tmpleftover')
    read_only.chmod(0o555)
    use_mirrors(monkeypatch, refusing)
    assert_is_official(preprocess_mnist_data(full=True), official)


def age(path):
    long_ago = time.time() - 2 * downloads.LEFTOVER_AGE
    os.utime(path, (long_ago, long_ago))


def test_old_leftovers_are_removed_and_downloads_in_progress_left_alone(official, cache, monkeypatch, refusing):
    save_all(cache, {**official, 'tmpold': b'half a file', 'tmpnew': b'half a file'})
    age(cache / 'tmpold')
    for name in NAMES:
        age(cache / name)
    use_mirrors(monkeypatch, refusing)
    assert_is_official(preprocess_mnist_data(full=True), official)
    assert files_below(cache) == sorted((*NAMES, 'tmpnew'))


@pytest.mark.usefixtures('default_handlers')
def test_an_interrupted_download_leaves_nothing(official, cache, monkeypatch, serve):
    def interrupt(handler):
        handler.begin(len(official[IMAGES]))
        handler.wfile.write(official[IMAGES][:100])
        time.sleep(0.2)  # a signal that comes just before the reader waits is seen when it has done waiting
        os.kill(os.getpid(), signal.SIGINT)
        handler.stopping.wait()

    use_mirrors(monkeypatch, serve({**official, IMAGES: interrupt}).url)
    with pytest.raises(KeyboardInterrupt):
        preprocess_mnist_data(full=True)
    assert files_below(cache) == []


def test_a_killed_download_is_done_again(official, cache, monkeypatch, serve):
    def kill(handler):
        handler.begin(len(official[IMAGES]))
        handler.wfile.write(official[IMAGES][:-1])
        process.kill()

    process = start_loading(official, serve({**official, IMAGES: kill}).url)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    (leftover,) = files_below(cache)
    age(cache / leftover)
    use_mirrors(monkeypatch, serve(official).url)
    assert_is_official(preprocess_mnist_data(full=True), official)
    assert files_below(cache) == sorted(NAMES)


def test_processes_at_once_all_succeed(official, cache, serve):
    url = serve(official).url
    for process in [start_loading(official, url) for _ in range(3)]:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert {name: (cache / name).read_bytes() for name in files_below(cache)} == official
