"""Servers on loopback that stand in for the mirrors of MNIST, well-behaved and otherwise."""

import contextlib
import gzip
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from cnnx.data import mnist

NAMES = tuple(mnist.FILES)
LOAD = """
import json, sys
from cnnx.data import mnist
mnist.FILES, mnist.MIRRORS = json.loads(sys.argv[1])
mnist.preprocess_mnist_data(full=True)
"""


def made_up_files(train=7, test=3):
    """Return small stand-ins for the files of MNIST, compressed, by name."""
    rng = np.random.default_rng(1)
    files = {}
    for name in NAMES:
        count = train if name.startswith('train') else test
        shape, largest = ((count, 28, 28), 256) if 'images' in name else ((count,), 10)
        head = struct.pack(f'>HBB{len(shape)}I', 0, 0x08, len(shape), *shape)
        files[name] = gzip.compress(head + rng.integers(0, largest, shape, np.uint8).tobytes(), mtime=0)
    return files


def described(packed):
    """Return what stands in `mnist.FILES` for these files."""
    contents = {name: gzip.decompress(data) for name, data in packed.items()}
    return {
        name: (len(data), sha256(data), shape_of(contents[name]), sha256(contents[name]))
        for name, data in packed.items()
    }


def shape_of(content):
    return struct.unpack_from(f'>{content[3]}I', content, 4)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def start_loading(packed, *urls):
    """Start a process that loads these files from the cache and the mirrors at these addresses."""
    return subprocess.Popen(
        [sys.executable, '-c', LOAD, json.dumps([described(packed), urls])],
        stderr=subprocess.PIPE,
        text=True,
    )


class Mirror:
    """A server on loopback that answers each path with what `files` holds, and writes down what it is asked for.

    A value is bytes to serve, a pair (bytes, length) to announce another length than is served, an int to fail
    with, or a function that is handed the request's handler; what is not there is a 404.
    """

    def __init__(self, files):
        self.files = dict(files)
        self.asked = []
        self.stopping = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5
            stopping = mirror.stopping

            def do_GET(self):
                name = self.path.removeprefix('/mnist/')
                mirror.asked.append(name)
                answer = mirror.files.get(name, 404)
                with contextlib.suppress(OSError):  # the client may hang up
                    self.answer(answer)

            def answer(self, answer):
                if isinstance(answer, int):
                    self.send_error(answer)
                elif callable(answer):
                    answer(self)
                else:
                    body, length = answer if isinstance(answer, tuple) else (answer, len(answer))
                    self.begin(length)
                    self.wfile.write(body)

            def begin(self, length=None):
                self.send_response(200)
                if length is not None:
                    self.send_header('Content-Length', str(length))
                self.end_headers()

            def drip(self, data, pause, step=1):
                """Send data `step` bytes at a time, with a pause before each."""
                for start in range(0, len(data), step):
                    if self.stopping.wait(pause):
                        return
                    self.wfile.write(data[start : start + step])

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = False  # so that server_close waits for them
        self.url = f'http://127.0.0.1:{self.server.server_port}/mnist/'
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def reset_midway(data):
    def answer(handler):
        handler.begin(len(data))
        handler.wfile.write(data[: len(data) // 2])
        # Closing without lingering sends a reset; detached, since an orderly shutdown would come before it.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        os.close(handler.connection.detach())

    return answer


def stall_midway(data):
    def answer(handler):
        handler.begin(len(data))
        handler.wfile.write(data[: len(data) // 2])
        handler.stopping.wait()

    return answer


def stall_at_once(data):
    return lambda handler: handler.stopping.wait()


def trickle(data):
    def answer(handler):
        handler.begin(len(data))
        handler.drip(data, 0.05)

    return answer


def trickle_header(data):
    return lambda handler: handler.drip(b'HTTP/1.1 200 OK\r\nX-Padding: ' + bytes(1000), 0.05)


def endless(data):
    def answer(handler):
        handler.begin()
        while not handler.stopping.is_set():
            handler.wfile.write(data)

    return answer


def redirect_loop(data):
    def answer(handler):
        handler.send_response(302)
        handler.send_header('Location', handler.path)
        handler.send_header('Content-Length', '0')
        handler.end_headers()

    return answer


# Ways to serve a file badly, which a client notices at once: what a Mirror holds, given the file.
BAD_ANSWERS = {
    '403': lambda data: 403,
    '404': lambda data: 404,
    '503': lambda data: 503,
    'wrong bytes': lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    'a web page': lambda data: b'<html>moved</html>',
    'empty': lambda data: b'',
    'truncated body': lambda data: (data[: len(data) // 2], len(data)),
    'half of it': lambda data: data[: len(data) // 2],
    'a length too short': lambda data: (data, len(data) - 1),
    'a length that is no number': lambda data: (data, 'many'),
    'reset midway': reset_midway,
    'goes on for ever': endless,
    'redirects in a circle': redirect_loop,
}
# Those that it has to lose patience with.
SLOW_ANSWERS = {
    'stalls at once': stall_at_once,
    'stalls midway': stall_midway,
    'trickles': trickle,
    'trickles its header': trickle_header,
}


def save_all(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def use_mirrors(monkeypatch, *urls):
    monkeypatch.setattr(mnist, 'MIRRORS', urls)


def assert_is_official(data, official):
    """Assert that data is what the official files hold."""
    (x_train, y_train), (x_test, y_test) = data
    for x, y, images, labels in ((x_train, y_train, *NAMES[:2]), (x_test, y_test, *NAMES[2:])):
        pixels = np.frombuffer(gzip.decompress(official[images])[16:], np.uint8).reshape(-1, 28, 28, 1)
        digits = np.frombuffer(gzip.decompress(official[labels])[8:], np.uint8)
        np.testing.assert_array_equal(x, pixels.astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(y, digits[:, np.newaxis] == np.arange(10))
        assert x.dtype == y.dtype == np.float32
