"""Downloads of data sets into the user's cache, with checked sizes and checksums, in bounded time."""

import io
import threading
import time
from pathlib import Path

from cnnx.data.idx import DataError

TIMEOUT = 30  # seconds without a byte
# A download may take GRACE seconds plus the time for its size at SLOWEST_RATE, in bytes per second, but no longer than
# LONGEST.
GRACE = 120
SLOWEST_RATE = 10_000
LONGEST = 3 * 3600
# A temporary file that has not changed for so many seconds is no download in progress.
LEFTOVER_AGE = 3600


def find_in_cache(folder, files, mirrors, wanted):
    """Return the paths of files in the user's cache, and download those that are missing or damaged.

    Args:
        folder: the name of the folder in the cache.
        files: name -> (size, sha256, ...).
        mirrors: addresses that a name is appended to; they are tried in turn.
        wanted: what the user should get from elsewhere if all fail, for the message.

    Raises:
        DataError: a file cannot be downloaded.
    """
    import pooch  # takes 100 ms to import; only downloads need it

    cache = pooch.os_cache('cnnx') / folder
    _remove_leftovers(cache)
    return [_download(name, cache, *description[:2], mirrors, wanted) for name, description in files.items()]


def _remove_leftovers(cache):
    """Remove the temporary files of killed downloads; pooch names them tmp* until they are complete and checked."""
    for path in cache.glob('tmp*'):
        try:
            if time.time() - path.stat().st_mtime > LEFTOVER_AGE:
                path.unlink()
        except OSError as error:  # another process has removed it, or the cache is read-only
            if error.errno is None:  # raised by a signal handler of the user
                raise


def _download(name, cache, size, sha256, mirrors, wanted):
    """Return the path of a file in the cache; download it if it is missing or damaged."""
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
        'Try again later, check that this folder is writable and has free space, '
        f'or get {wanted} from elsewhere and give their folder as data_dir'
    )


def _fetch(url, path, size):
    """Download by pooch, with a limit on size and time.

    The download runs in a thread that can be abandoned: the timeout of a socket restarts with each byte, and a name
    lookup has no timeout. An abandoned thread ends at its next write, since its file is closed.

    Raises:
        TimeoutError: it took too long.
        OSError, ValueError: it failed, or there were more than `size` bytes.
    """
    limit = min(GRACE + size / SLOWEST_RATE, LONGEST)
    errors = []
    with _BoundedFile(path, size) as file:
        thread = threading.Thread(target=_fetch_into, args=(url, file, errors), daemon=True)
        thread.start()
        thread.join(limit)
        if thread.is_alive():
            raise TimeoutError(f'incomplete after {limit:,.0f} seconds')
    if errors:
        raise errors.pop()


def _fetch_into(url, file, errors):
    import pooch

    try:
        pooch.HTTPDownloader(timeout=TIMEOUT)(url, file, None)
    except Exception as error:
        errors.append(error)


class _BoundedFile(io.BufferedWriter):
    """A new file with a limit on its size, so that an endless download does not fill the disk."""

    def __init__(self, path, size):
        super().__init__(io.FileIO(path, 'w'))
        self.size = size

    def write(self, data):
        if self.tell() + len(data) > self.size:
            raise ValueError(f'longer than the {self.size:,} bytes of that file')
        return super().write(data)
