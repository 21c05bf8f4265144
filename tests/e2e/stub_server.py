# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What the stubs that we post to have in common: a server on loopback with a thread for each connection, the ways to misbehave, and
the end, which fails when anything was wrong."""
import contextlib
import http.server
import socket
import ssl
import struct
import sys
import threading


def _start(stub, port, tls, client_ca):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            with contextlib.suppress(OSError):
                stub._serve(self)

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request, client_address):
            error = sys.exc_info()[1]
            stub.n_refused += isinstance(error, ssl.SSLError)
            if not isinstance(error, OSError):
                stub.faults.append(f"the stub itself: {error!r}")

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        if client_ca is not None:
            context.load_verify_locations(str(client_ca))
            context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


class StubServer:
    """Each POST is `_serve`'s, which a subclass has; what it finds wrong goes to `faults`. `with` runs it, and looks at the faults at
    the end. What a subclass keeps has to be there before `__init__`: posts may come at once."""

    def __init__(self, port=0, tls=None, client_ca=None):
        self.faults = []
        self.n_refused = 0  # handshakes
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.server = _start(self, port, tls, client_ca)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def _serve(self, http_request):
        raise NotImplementedError

    def _misbehave(self, http_request, word, replies=()):
        """By a word: "hangs" until the end, "resets" the connection, or one of `replies`, which says what bytes are the answer."""
        http_request.close_connection = True
        if word == "hangs":
            self.ending.wait()
        elif word == "resets":
            http_request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            http_request.connection.close()
        else:
            http_request.wfile.write(dict(replies)[word])

    def check(self):
        assert not self.faults, self.faults[:5]

    def close(self):
        if self.ending.is_set():
            return
        self.ending.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        if kind is None:
            self.check()
