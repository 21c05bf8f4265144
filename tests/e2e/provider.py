# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""An OpenID provider on this host: keys made and used by openssl, a discovery document, a set of keys that rotates. It can misbehave."""
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading
import time


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], input=stdin, capture_output=True, check=True).stdout


class Key:
    """A private key in a file; kind is RS256, ES256 or EdDSA."""

    KINDS = {"RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
             "EdDSA": ["ED25519"]}

    def __init__(self, folder, kind="ES256", kid="k1"):
        self.kind, self.kid = kind, kid
        self.path = folder / f"{kind}-{kid}.pem"
        openssl("genpkey", "-algorithm", *self.KINDS[kind], "-out", str(self.path))

    def public_pem(self):
        return openssl("pkey", "-in", str(self.path), "-pubout")

    def jwk(self):
        der = openssl("pkey", "-in", str(self.path), "-pubout", "-outform", "DER")
        common = {"kid": self.kid, "use": "sig", "alg": self.kind}
        if self.kind == "RS256":
            text = openssl("rsa", "-in", str(self.path), "-noout", "-modulus").decode().strip()
            return {"kty": "RSA", "n": encode(bytes.fromhex(text.partition("=")[2])), "e": "AQAB", **common}
        if self.kind == "ES256":
            return {"kty": "EC", "crv": "P-256", "x": encode(der[-64:-32]), "y": encode(der[-32:]), **common}
        return {"kty": "OKP", "crv": "Ed25519", "x": encode(der[-32:]), **common}

    def sign(self, data):
        if self.kind == "EdDSA":
            with tempfile.NamedTemporaryFile() as file:
                file.write(data)
                file.flush()
                return openssl("pkeyutl", "-sign", "-inkey", str(self.path), "-rawin", "-in", file.name)
        raw = openssl("dgst", "-sha256", "-sign", str(self.path), stdin=data)
        return raw if self.kind == "RS256" else self._flatten(raw)

    @staticmethod
    def _flatten(der):
        """SEQUENCE of two INTEGERs as r and s of 32 bytes each."""
        numbers, at = [], 2
        for _ in range(2):
            n = der[at + 1]
            numbers.append(der[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0"))
            at += 2 + n
        return b"".join(numbers)

    def token(self, claims, header=None):
        head = {"alg": self.kind, "kid": self.kid, "typ": "JWT", **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return join(head, claims, self.sign)


def join(header, claims, sign):
    text = ".".join(encode(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{encode(sign(text.encode()))}"


def hmac_token(secret, claims, header):
    return join(header, claims, lambda data: hmac.new(secret, data, hashlib.sha256).digest())


class Provider:
    """Use it in a `with` block. `keys` are published; `act` is how it answers: ok, 500, redirect, huge, other-issuer, no-json, hang."""

    def __init__(self, tls=None, host="127.0.0.1"):
        self.tls, self.host = tls, host
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nomos-oidc-"))
        self.keys = [Key(self.folder)]
        self.act = "ok"
        self.asked = []  # paths, in order
        self.release = threading.Event()
        self.port = 0
        self.server = None
        self.start()

    def start(self):
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            # One request for each connection, so that nothing is answered once the server has stopped.
            protocol_version = "HTTP/1.0"

            def do_GET(self):  # noqa: N802
                provider.asked.append(self.path)
                provider.answer(self)

            def log_message(self, *args):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, self.tls))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.handle_error = lambda *_: None  # clients that gave up
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def issuer(self):
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}/realm"

    def document(self, path):
        if path.endswith("/.well-known/openid-configuration"):
            issuer = "http://127.0.0.1:1/other" if self.act == "other-issuer" else self.issuer
            return {"issuer": issuer, "jwks_uri": f"{self.issuer}/keys", "padding": "x" * (300_000 if self.act == "huge" else 0)}
        return {"keys": [key.jwk() for key in self.keys]}

    def answer(self, handler):
        if self.act == "hang":
            self.release.wait()
        status = {"500": 500, "redirect": 302}.get(self.act, 200)
        body = b"{" if self.act == "no-json" else json.dumps(self.document(handler.path)).encode()
        handler.send_response(status)
        if status == 302:
            handler.send_header("Location", handler.path)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def n_asked(self, end="/keys"):
        return len([path for path in self.asked if path.endswith(end)])

    def claims(self, **changes):
        now = int(time.time())
        all_claims = {"iss": self.issuer, "aud": "nomos", "sub": "uma", "iat": now - 5, "exp": now + 600, **changes}
        return {name: value for name, value in all_claims.items() if value is not None}

    def token(self, key=None, header=None, **claims):
        return (key or self.keys[0]).token(self.claims(**claims), header)

    def new_key(self, kind="ES256", kid="k2"):
        return Key(self.folder, kind, kid)

    def section(self, **more):
        return {"enabled": True, "issuer": self.issuer, "audience": "nomos", "refresh_floor_seconds": 1, **more}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release.set()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
