# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A receiver of the webhook sink that believes nothing: signature, encoding, headers, every hash, the order, no gap; a
record may come again, but only as the begin of what follows what it had. What it finds wrong is in `faults`."""
import contextlib
import gzip
import hashlib
import hmac
import json
import time

from stub_server import StubServer
from support import Workplace

SECRET = "receiver-secret"


@contextlib.contextmanager
def place_of(options):
    place = Workplace(options)
    try:
        yield place
    finally:
        place.remove()


class Receiver(StubServer):
    """Answers as `answer` says: a status, "reads slowly", "reads half", "answers half" or a word of `_misbehave`; a function of the request's records gets to
    choose. Only what it answered 2xx is taken."""

    def __init__(self, answer=200, secret=SECRET, port=0, tls=None, client_ca=None, keeps=None):
        self.answer, self.secret, self.keeps = answer, secret, keeps
        self.taken = []  # records, each once, in order
        self.bodies = []  # as they came, of what was taken
        self.sizes = []  # records of each request
        self.n_asked = self.n_repeated = 0
        self.n_back = 0  # requests that began before the one before them: only a start may do that
        self.last_first = 0
        self.requests = []  # (headers, n records)
        super().__init__(port, tls, client_ca)
        self.url += "/records"

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
            self._misbehave(http_request, answer, {"answers half": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"})

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
