# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Request signatures of version 2, written from docs/integration.md and from nothing of the gateway's."""
import hashlib
import hmac
import json
import secrets
import subprocess
import tempfile
import time


def form(method, target, timestamp, nonce, body=b"", idempotency_key=""):
    lines = ["v2", method, target, str(timestamp), nonce, hashlib.sha256(body).hexdigest(), idempotency_key]
    return "\n".join(lines).encode()


def mac(secret, text):
    return "v2=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def ed25519(key_file, text):
    """By the openssl command: Python's library has no Ed25519."""
    with tempfile.NamedTemporaryFile() as f:  # it has to know how long the text is
        f.write(text)
        f.flush()
        raw = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", str(key_file), "-rawin", "-in", f.name],
                             capture_output=True, check=True).stdout
    assert len(raw) == 64
    return "v2ed=" + raw.hex()


class Signer:
    """An agent, and perhaps a service instead of an API key. What a test gives to headers() replaces what is right."""

    def __init__(self, secret="agent-secret", agent="bot", key=None, service=None, key_file=None):
        self.secret, self.agent, self.key, self.service, self.key_file = secret, agent, key, service, key_file

    def headers(self, method, target, body=b"", timestamp=None, nonce=None, idempotency_key=""):
        timestamp = int(time.time()) if timestamp is None else timestamp
        nonce = secrets.token_urlsafe(24) if nonce is None else nonce
        text = form(method, target, timestamp, nonce, body, idempotency_key)
        out = {"X-Nomos-Agent-Id": self.agent, "X-Nomos-Timestamp": str(timestamp), "X-Nomos-Nonce": nonce,
               "Content-Type": "application/json"}
        out["X-Nomos-Agent-Signature"] = ed25519(self.key_file, text) if self.key_file else mac(self.secret, text)
        if self.key:
            out["Authorization"] = f"Bearer {self.key}"
        if self.service:
            out["X-Nomos-Service-Id"] = self.service[0]
            out["X-Nomos-Service-Signature"] = mac(self.service[1], text)
        if idempotency_key:
            out["Idempotency-Key"] = idempotency_key
        return out

    def send(self, g, body, path="/action", method="POST", connection=None, **changes):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return g.request(method, path, raw, self.headers(method, path, raw, **changes), connection)
