# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A receiver of the webhook sink that believes nothing: signature, encoding, headers, every hash, the order, no gap; a
record may come again, but only as the begin of what follows what it had. What it finds wrong is in `faults`."""
import contextlib
import gzip
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import struct
import sys
import threading
import time

from support import Workplace

SECRET = "receiver-secret"


@contextlib.contextmanager
def place_of(options):
    place = Workplace(options)
    try:
        yield place
    finally:
        place.remove()


def start_server(owner, port=0, tls=None, client_ca=None):
    """A server whose POSTs are `owner._serve`'s, and its thread; handshakes that fail are counted in `owner.n_refused`."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            with contextlib.suppress(OSError):
                owner._serve(self)

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request, client_address):
            owner.n_refused += isinstance(sys.exc_info()[1], ssl.SSLError)

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        if client_ca is not None:
            context.load_verify_locations(str(client_ca))
            context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    return server, thread


def reset(http_request):
    """Ends its connection so that the peer sees an error."""
    http_request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    http_request.connection.close()


class Receiver:
    """Answers as `answer` says: a status, or one of the words of `_misbehave`; a function of the request's records gets to
    choose. Only what it answered 2xx is taken."""

    def __init__(self, answer=200, secret=SECRET, port=0, tls=None, client_ca=None, keeps=None):
        self.answer, self.secret, self.keeps = answer, secret, keeps
        self.taken = []  # records, each once, in order
        self.bodies = []  # as they came, of what was taken
        self.faults = []
        self.sizes = []  # records of each request
        self.n_asked = self.n_repeated = 0
        self.n_refused = 0  # handshakes
        self.n_back = 0  # requests that began before the one before them: only a start may do that
        self.last_first = 0
        self.requests = []  # (headers, n records)
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.server, self.thread = start_server(self, port, tls, client_ca)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/records"

    def _serve(self, http_request):
        headers = http_request.headers
        size = int(headers["Content-Length"])
        if self.answer == "reads slowly":
            body = b""
            while len(body) < size and not self.ending.wait(0.01):
                body += http_request.rfile.read(min(size - len(body), 200))
        elif self.answer == "reads half":
            http_request.rfile.read(size // 2)
            http_request.close_connection = True
            return
        else:
            body = http_request.rfile.read(size)
        if len(body) < size:
            return
        with self.lock:
            self.n_asked += 1
            records = self._check(headers, body)
            self.sizes.append(len(records))
            self.requests.append((dict(headers), len(records)))
            answer = self.answer(records) if callable(self.answer) else self.answer
            if answer == "reads slowly":
                answer = 200
            if isinstance(answer, int) and 200 <= answer <= 299:
                self._take(records, body)
        if isinstance(answer, int):
            http_request.send_response(answer)
            if 300 <= answer <= 399:
                http_request.send_header("Location", self.url)
            http_request.send_header("Content-Length", "0")
            http_request.end_headers()
        else:
            self._misbehave(http_request, answer)

    def _misbehave(self, http_request, word):
        http_request.close_connection = True
        if word == "hangs":
            self.ending.wait()
        elif word == "resets":
            reset(http_request)
        elif word == "answers half":
            http_request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            http_request.wfile.flush()
        else:
            raise AssertionError(word)

    def _fault(self, text):
        self.faults.append(text)

    def _check(self, headers, body):
        signature = headers.get("X-Nomos-Signature")
        if self.secret is not None:
            t, _, v1 = (signature or "").partition(",v1=")
            want = hmac.new(self.secret.encode(), t[2:].encode() + b"." + body, hashlib.sha256).hexdigest()
            if not t.startswith("t=") or not hmac.compare_digest(v1, want) or abs(time.time() - int(t[2:])) > 3600:
                self._fault(f"signature {signature!r}")
        text = body
        if "Content-Encoding" in headers:
            if headers["Content-Encoding"] != "gzip":
                self._fault(f"encoding {headers['Content-Encoding']}")
            text = gzip.decompress(body)
        if headers["Content-Type"] == "application/x-ndjson":
            if not text.endswith(b"\n"):
                self._fault("the last line does not end")
            lines = text[:-1].split(b"\n")
        else:
            if headers["Content-Type"] != "application/json" or b"\n" in text:
                self._fault(f"type {headers['Content-Type']}")
            lines = [text]
        records = [json.loads(line) for line in lines]
        for line, record in zip(lines, records):
            self._check_hash(line, record)
        seqs = [r["seq"] for r in records]
        if seqs != list(range(seqs[0], seqs[0] + len(seqs))):
            self._fault(f"a gap in one body: {seqs}")
        if headers["X-Nomos-Seq"] != str(seqs[0]) or headers.get("X-Nomos-Seq-Last", str(seqs[0])) != str(seqs[-1]):
            self._fault(f"headers say {headers['X-Nomos-Seq']} to {headers.get('X-Nomos-Seq-Last')}, the body {seqs}")
        if {r["chain_id"] for r in records} != {headers["X-Nomos-Chain"]}:
            self._fault("records of another chain than the header's")
        self.n_back += seqs[0] < self.last_first
        self.last_first = seqs[0]
        return records

    def _check_hash(self, line, record):
        """By the definition: SHA-256 over the line without event_hash and the previous hash."""
        body = line.replace(b'"event_hash":"%s",' % record["event_hash"].encode(), b"", 1)
        if hashlib.sha256(body + record.get("prev_event_hash", "").encode()).hexdigest() != record["event_hash"]:
            self._fault(f"record {record['seq']} does not have its hash")

    def _take(self, records, body):
        for record in records:
            last = self.taken[-1] if self.taken else None
            if last is not None and last["chain_id"] == record["chain_id"]:
                if record["seq"] <= last["seq"]:
                    self.n_repeated += 1
                    first = self.taken[0]["seq"]
                    had = self.taken[record["seq"] - first] if record["seq"] >= first else None
                    if had is None or had["event_hash"] != record["event_hash"]:
                        self._fault(f"record {record['seq']} comes again and is another one")
                    continue
                if record["seq"] != last["seq"] + 1 and not self._is_passed(last["seq"] + 1, record["seq"]):
                    self._fault(f"a gap between {last['seq']} and {record['seq']}")
                elif record["seq"] == last["seq"] + 1 and record["prev_event_hash"] != last["event_hash"]:
                    self._fault(f"record {record['seq']} does not follow {last['seq']}")
            elif record["seq"] != 1 and last is not None:
                self._fault("a new chain does not begin with its first record")
            self.taken.append(record)
        self.bodies.append(body)
        if self.keeps is not None:
            with open(self.keeps, "ab") as f:
                f.write(body)

    may_pass = frozenset()  # records that this receiver refuses

    def _is_passed(self, first, behind):
        return all(seq in self.may_pass for seq in range(first, behind))

    def seqs(self):
        with self.lock:
            return [r["seq"] for r in self.taken]

    def has(self, seq):
        with self.lock:
            return bool(self.taken) and self.taken[-1]["seq"] >= seq

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
