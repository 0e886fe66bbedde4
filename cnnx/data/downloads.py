"""Files that are downloaded once into the user's cache, held to their sizes and checksums, in bounded time."""

import io
import threading
import time
from pathlib import Path

from cnnx.data.idx import DataError

TIMEOUT = 30  # seconds without a byte
# A download may take GRACE seconds and the time that its size takes at the slowest rate, in bytes per second, but no
# longer than LONGEST.
GRACE = 120
SLOWEST_RATE = 10_000
LONGEST = 3 * 3600
# A download in progress has written to its file more lately than that.
LEFTOVER_AGE = 3600


def find_in_cache(folder, files, mirrors, wanted):
    """Return the paths of files in the user's cache, downloading what is not there whole.

    Args:
        folder: of the cache, by its name.
        files: name -> (size, sha256, ...).
        mirrors: addresses that a name is appended to, tried in turn.
        wanted: what to get from elsewhere if all fail, in words.

    Raises:
        DataError: a file cannot be downloaded.
    """
    import pooch  # takes 100 ms to import, which only the cache needs

    cache = pooch.os_cache('cnnx') / folder
    _remove_leftovers(cache)
    return [_download(name, cache, *description[:2], mirrors, wanted) for name, description in files.items()]


def _remove_leftovers(cache):
    """Remove what downloads left that were killed: pooch names a file tmp* until it is whole and checked."""
    for path in cache.glob('tmp*'):
        try:
            if time.time() - path.stat().st_mtime > LEFTOVER_AGE:
                path.unlink()
        except OSError as error:  # another process was quicker, or the cache is read-only
            if error.errno is None:  # a user's signal handler raises it
                raise


def _download(name, cache, size, sha256, mirrors, wanted):
    """Return the path of a file in the cache, downloaded if it is not there whole."""
    import pooch

    failures = []
    for mirror in mirrors:
        try:
            return Path(
                pooch.retrieve(
                    mirror + name,
                    known_hash=f'sha256:{sha256}',
                    fname=name,
                    path=cache,
                    downloader=lambda url, path, _: _fetch(url, path, size),
                )
            )
        except (OSError, ValueError) as error:
            failures.append(f'{mirror}{name}: {error}')
    raise DataError(
        f'{name} cannot be downloaded into {cache}:\n  ' + '\n  '.join(failures) + '\n'
        'Try again later, see that this folder can be written to and has room, '
        f'or get {wanted} from elsewhere and give their folder as data_dir'
    )


def _fetch(url, path, size):
    """Download by pooch, but no more than size bytes and for no longer than those may take.

    It is done in a thread, which can be given up: the timeout of a socket starts anew with each byte, and looking
    up a name has none. A thread that was given up ends as soon as it wants to write, since its file is closed.

    Raises:
        TimeoutError: it took too long.
        OSError, ValueError: it failed, or there were more than size bytes.
    """
    limit = min(GRACE + size / SLOWEST_RATE, LONGEST)
    errors = []
    with _BoundedFile(path, size) as file:
        thread = threading.Thread(target=_fetch_into, args=(url, file, errors), daemon=True)
        thread.start()
        thread.join(limit)
        if thread.is_alive():
            raise TimeoutError(f'not whole after {limit:,.0f} seconds')
    if errors:
        raise errors.pop()


def _fetch_into(url, file, errors):
    import pooch

    try:
        pooch.HTTPDownloader(timeout=TIMEOUT)(url, file, None)
    except Exception as error:
        errors.append(error)


class _BoundedFile(io.BufferedWriter):
    """A new file that refuses to grow beyond a size, lest an endless download fill the disk."""

    def __init__(self, path, size):
        super().__init__(io.FileIO(path, 'w'))
        self.size = size

    def write(self, data):
        if self.tell() + len(data) > self.size:
            raise ValueError(f'goes on after the {self.size:,} bytes of that file')
        return super().write(data)
