# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""TLS with real peers: Python's ssl, curl, openssl s_client. Versions, names, client certificates, sessions, files that change."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from certificates import Authority, openssl
from support import (INSTRUMENTED, LONG, OPERATOR_KEY, PATIENCE, Gateway, Workplace, action, config, http, signal, socket,
                     subprocess, until)


@contextlib.contextmanager
def authority():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nomos-tls-"))
    try:
        yield Authority(folder / "ca")
    finally:
        shutil.rmtree(folder)


def tls(pair, **more):
    return {"tls": {"enabled": True, "cert_file": str(pair[0]), "key_file": str(pair[1]), "look_ms": 10, **more}}


def client(ca, cert=None, alpn=None, version=None, check=True):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = check
    c.load_verify_locations(str(ca.cert))
    if version is not None:
        c.minimum_version = c.maximum_version = version
    if cert is not None:
        c.load_cert_chain(str(cert[0]), str(cert[1]))
    if alpn is not None:
        c.set_alpn_protocols(alpn)
    return c


def shake(g, context, name="localhost", session=None):
    """A socket behind its handshake; also what a client with TLS 1.3 learns only when it reads."""
    raw = socket.create_connection(g.address, timeout=PATIENCE)
    try:
        return context.wrap_socket(raw, server_hostname=name, session=session)
    except BaseException:
        raw.close()
        raise


def ask(g, context, **more):
    with shake(g, context, **more) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        got = b""
        while part := s.recv(65536):
            got += part
    return got


def act(g, context):
    c = http.client.HTTPSConnection("localhost", g.address[1], timeout=PATIENCE, context=context)
    try:
        return g.act(connection=c)
    finally:
        c.close()


def serial_of(g, context, name="localhost"):
    with shake(g, context, name) as s:
        return s.getpeercert()["serialNumber"]


def test_both_versions_and_no_older_one():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server")))) as g:
        assert "listening on https://" in g.read_log()
        for version, text in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            with shake(g, client(ca, version=version, alpn=["h2", "http/1.1"])) as s:
                assert (s.version(), s.selected_alpn_protocol(), s.compression()) == (text, "http/1.1", None)
            assert act(g, client(ca, version=version)).json["decision"] == "ALLOW"
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{g.address[1]}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
                              input=b"", capture_output=True, check=False)
        assert done.returncode != 0 and b"alert protocol version" in done.stderr, done
        # No forward secrecy, or no authenticated cipher.
        for suite in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256"):
            c = client(ca, version=ssl.TLSVersion.TLSv1_2)
            c.set_ciphers(suite)
            assert "HANDSHAKE_FAILURE" in refusal(g, c)


def refusal(g, context, **more):
    """How a client is turned away: the alert's name, or what its library says."""
    try:
        got = ask(g, context, **more)
    except (ssl.SSLError, ConnectionError) as e:
        return (getattr(e, "reason", None) or str(e)).upper().replace(" ", "_")
    raise AssertionError(f"answered {got[:100]!r}")


def test_tls13_alone():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server"), min_version="1.3"))) as g:
        assert "PROTOCOL_VERSION" in refusal(g, client(ca, version=ssl.TLSVersion.TLSv1_2))
        assert b"200 OK" in ask(g, client(ca))


def test_another_protocol_is_refused():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server")))) as g:
        assert "NO_APPLICATION_PROTOCOL" in refusal(g, client(ca, alpn=["h2"]))
        assert "NO_APPLICATION_PROTOCOL" in refusal(g, client(ca, alpn=["http/1.10", "http/1"]))
        assert b"200 OK" in ask(g, client(ca))


def test_the_certificate_is_that_of_the_name():
    with authority() as ca:
        pairs = [ca.issue("a", "DNS:a.example"), ca.issue("b", "DNS:*.b.example")]
        with Gateway(config(gateway=tls(ca.issue("server"), certificates=[
                {"cert_file": str(c), "key_file": str(k)} for c, k in pairs]))) as g:
            seen = {name: serial_of(g, client(ca), name) for name in ("localhost", "a.example", "x.b.example")}
            assert len(set(seen.values())) == 3, seen
            assert serial_of(g, client(ca, check=False), "other.example") == seen["localhost"]


def test_clear_text_is_told_so():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server")))) as g:
        head, _, body = g.raw(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in head, head
        assert json.loads(body)["reason"] == "validation_error: this address speaks TLS: use https"
        assert b"200 OK" in ask(g, client(ca))


def test_curl_and_the_cookie():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server")))) as g:
        done = subprocess.run(["curl", "-sS", "--cacert", ca.cert, "-D", "-", "-H", "Content-Type: application/json",
                               "-d", '{"api_key":"test-operator-key"}', f"https://localhost:{g.address[1]}/api/ui/session"],
                              capture_output=True, check=True)
        cookie = [line for line in done.stdout.decode().splitlines() if line.lower().startswith("set-cookie:")]
        assert cookie and "; Secure" in cookie[0], done
        assert "strict-transport-security" not in done.stdout.decode().lower()


def test_an_export_is_whole_for_a_client_of_http_1_0():
    """To it the end of the connection is the end of the export: what is cut off would not be missed."""
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server")))) as g:
        c = http.client.HTTPSConnection("localhost", g.address[1], timeout=PATIENCE, context=client(ca))
        for i in range(60):
            body = action(action_id=f"act-{i}", resource="payment://shop.example.com/" + "x" * 4000)
            assert g.act(body, connection=c).status == 200
        c.close()
        for _ in range(40 if LONG else 15):
            done = subprocess.run(["curl", "-sS", "--http1.0", "--no-alpn", "--cacert", ca.cert, "-H", f"Authorization: Bearer {OPERATOR_KEY}",
                                   f"https://localhost:{g.address[1]}/api/ui/export"], capture_output=True, timeout=PATIENCE, check=False)
            assert done.returncode == 0, done.stderr
            lines = done.stdout.splitlines()
            trailer = json.loads(lines[-1])
            assert trailer["trailer"] == "nomos.export.v1" and trailer["count"] == len(lines) - 1 > 60, (trailer, len(lines))


def test_no_renegotiation():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server")))) as g:
        p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{g.address[1]}", "-tls1_2", "-CAfile", ca.cert],
                           input=b"R\n", capture_output=True, check=False, timeout=PATIENCE)
        assert b"RENEGOTIATING" in p.stdout + p.stderr and b"no renegotiation" in p.stderr, p
        assert b"200 OK" in ask(g, client(ca))


def test_client_certificates():
    """Whatever is wrong with one, the client sees the same."""
    with authority() as ca:
        other = Authority(ca.dir.parent / "other", "Other CA")
        good = ca.issue("good", None, "clientAuth")
        bad = {
            "other CA": other.issue("bad", None, "clientAuth"),
            "expired": ca.issue("expired", None, "clientAuth", begins=-7200, ends=-3600),
            "not yet valid": ca.issue("early", None, "clientAuth", begins=3600),
            "for servers": ca.issue("wrong-use", None, "serverAuth"),
            "of a CA": ca.issue("sub-ca", None, "clientAuth", is_ca=True),
            "signed by itself": (other.cert, other.dir / "ca.key"),
        }
        with Gateway(config(gateway=tls(ca.issue("server"), client_ca_file=str(ca.cert), require_mtls=True))) as g:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                seen = {name: refusal(g, client(ca, cert=pair, version=version)) for name, pair in bad.items()}
                assert set(seen.values()) == {"SSLV3_ALERT_HANDSHAKE_FAILURE"}, seen
                assert refusal(g, client(ca, version=version)) in ("TLSV13_ALERT_CERTIFICATE_REQUIRED",
                                                                   "SSLV3_ALERT_HANDSHAKE_FAILURE")
                assert act(g, client(ca, cert=good, version=version)).json["decision"] == "ALLOW"
            log = g.read_log()
            assert "certificate is refused" in log and "BEGIN" not in log
        with Gateway(config(gateway=tls(ca.issue("server"), client_ca_file=str(ca.cert)))) as g:
            assert b"200 OK" in ask(g, client(ca))
            assert b"200 OK" in ask(g, client(ca, cert=good))
            for pair in bad.values():
                assert refusal(g, client(ca, cert=pair)) == "SSLV3_ALERT_HANDSHAKE_FAILURE"


def resume(g, context, session):
    """Asks with the session: whether it was resumed, and the one to go on with."""
    with shake(g, context, session=session) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        while s.recv(65536):
            pass
        return s.session_reused, s.session


def test_sessions_go_on_across_workers_and_certificates():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with authority() as ca, Gateway(config(gateway={"workers": 2, **tls(ca.issue("server"))})) as g:
            context = client(ca, version=version)
            _, session = resume(g, context, None)
            for _ in range(10):  # the kernel chooses the worker
                was_resumed, session = resume(g, context, session)
                assert was_resumed
            before = serial_of(g, client(ca))
            ca.issue("server")
            until(lambda b=before, a=ca, w=g: serial_of(w, client(a)) != b, "the new certificate is served")
            assert resume(g, context, session)[0]


def test_tickets_end_and_certificates_are_asked_for_again():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server"), ticket_lifetime_seconds=1))) as g:
        context = client(ca)
        _, session = resume(g, context, None)
        assert resume(g, context, session)[0]
        until(lambda: not resume(g, context, session)[0], "an old ticket is not taken any more")
        assert resume(g, context, resume(g, context, None)[1])[0]
        good = ca.issue("good", None, "clientAuth")
    with authority() as ca:
        good = ca.issue("good", None, "clientAuth")
        with Gateway(config(gateway=tls(ca.issue("server"), client_ca_file=str(ca.cert)))) as g:
            context = client(ca, cert=good)
            _, session = resume(g, context, None)
            assert session is None or not resume(g, context, session)[0]


def test_the_ocsp_answer_is_sent_along():
    with authority() as ca:
        pair = ca.issue("server")
        with Gateway(config(gateway=tls(pair, ocsp_file=str(ca.answer_about(pair[0]))))) as g:
            said = openssl("s_client", "-connect", f"127.0.0.1:{g.address[1]}", "-CAfile", ca.cert, "-status", stdin=b"")
            assert b"OCSP Response Status: successful" in said and b"Cert Status: good" in said, said


def test_the_end_of_an_ocsp_answer_is_told():
    with authority() as ca:
        pair = ca.issue("server", ends=90 * 86400)
        context = client(ca)

        def get(g, path):
            c = http.client.HTTPSConnection("localhost", g.address[1], timeout=PATIENCE, context=context)
            c.request("GET", path, headers={"Authorization": f"Bearer {OPERATOR_KEY}"})
            body = c.getresponse().read().decode()
            c.close()
            return body

        def left(g):
            return float(re.search(r"^nomos_tls_ocsp_end_seconds (\S+)$", get(g, "/metrics"), re.MULTILINE)[1]) - time.time()

        def said(g):
            done = g.place.run("doctor", "-c", "nomos.json", "--format", "json")
            return {c["id"]: c["message"] for c in json.loads(done.stdout)["checks"]}["gateway.certificates"]

        with Gateway(config(gateway=tls(pair))) as g:
            assert left(g) < 0 and said(g) == "TLS certificates", said(g)
        with Gateway(config(gateway=tls(pair, ocsp_file=str(ca.answer_about(pair[0], 7 * 1440))))) as g:
            assert 6 * 86400 < left(g) <= 7 * 86400 and said(g) == "TLS certificates", (left(g), said(g))
            # Who looks at the readiness page reads the files too: no gauge counts them twice, nor forgets them.
            assert "gateway.certificates" in get(g, "/api/ui/readiness")
            assert 6 * 86400 < left(g) <= 7 * 86400, left(g)
            ca.answer_about(pair[0], 90)
            assert "an OCSP response ends in 1 hours" in said(g), said(g)


def test_a_listener_without_a_good_certificate_does_not_start():
    with authority() as ca:
        pair = ca.issue("server")
        other = ca.issue("other")
        garbage = ca.dir / "garbage.pem"
        garbage.write_text("no certificate\n")
        cases = [
            ((pair[0], other[1]), "is not that of the certificate"),
            ((ca.dir / "absent.pem", pair[1]), "absent.pem"),
            ((pair[0], ca.dir / "absent.key"), "absent.key"),
            ((garbage, pair[1]), "garbage.pem holds no certificates in PEM"),
            ((pair[0], garbage), "garbage.pem holds no private key"),
            (ca.issue("old", begins=-7200, ends=-3600), "has expired"),
            (ca.issue("early", begins=3600), "is not valid yet"),
        ]
        for files, text in cases:
            place = Workplace(config(gateway=tls(files)))
            try:
                said = place.run("serve", "-c", "nomos.json", check=1).stderr.decode()
                assert text in said and "gateway.tls" in said, said
            finally:
                place.remove()


def put(folder, pair, number):
    """As Kubernetes does it: a new folder, then the link to it is turned."""
    target = folder / f"..{number}"
    target.mkdir()
    shutil.copy(pair[0], target / "tls.crt")
    shutil.copy(pair[1], target / "tls.key")
    link = folder / f"..link{number}"
    link.symlink_to(target.name)
    os.replace(link, folder / "..data")


def test_certificates_replaced_under_load():
    """No handshake fails, a pair that does not match changes nothing, and a connection of before goes on."""
    rounds = 1000 if LONG else 50
    with authority() as ca:
        pairs = [ca.issue(f"server{i}") for i in range(4)]
        serials = [openssl("x509", "-in", c, "-noout", "-serial").decode().strip().split("=")[1] for c, _ in pairs]
        folder = ca.dir.parent / "mounted"
        folder.mkdir()
        put(folder, pairs[0], 0)
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(f"..data/{name}")
        with Gateway(config(gateway=tls((folder / "tls.crt", folder / "tls.key")))) as g:
            context = client(ca)
            failures, handshakes, stop = [], [], threading.Event()

            def load():
                while not stop.is_set():
                    try:
                        assert b"200 OK" in ask(g, context)
                        handshakes.append(1)
                    except (OSError, AssertionError) as e:
                        failures.append(repr(e))

            old = shake(g, context)
            threads = [threading.Thread(target=load) for _ in range(2)]
            for t in threads:
                t.start()
            try:
                for i in range(1, rounds + 1):
                    if i % 10 == 0:
                        put(folder, (pairs[i % 4][0], pairs[(i + 1) % 4][1]), f"{i}-bad")
                    put(folder, pairs[i % 4], i)
                    until(lambda w=serials[i % 4]: serial_of(g, context) == w, "the new certificate is served")
            finally:
                stop.set()
                for t in threads:
                    t.join()
            assert not failures, failures[:3]
            assert len(handshakes) > rounds / 5
            put(folder, (pairs[0][0], pairs[1][1]), "last-bad")
            until(lambda: "not read anew" in g.read_log(), "the bad pair is refused")
            assert serial_of(g, context) == serials[rounds % 4]
            old.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert old.recv(65536).startswith(b"HTTP/1.1 200")
            old.close()


def test_hangup_reads_certificates_too():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server"), look_ms=3600000))) as g:
        before = serial_of(g, client(ca))
        ca.issue("server")
        assert serial_of(g, client(ca)) == before
        g.signal(signal.SIGHUP)
        until(lambda: serial_of(g, client(ca)) != before, "the new certificate is served")


def test_a_certificate_without_an_end_is_told_of():
    """RFC 5280's date for that is behind the end of nanoseconds in 64 bits."""
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server"), look_ms=3600000))) as g:
        ca.issue("server", end="99991231235959Z")
        g.signal(signal.SIGHUP)
        until(lambda: "the first of them ends at " in g.read_log(), "the new certificate is there")
        assert "the first of them ends at 2262-04-11T" in g.read_log(), g.read_log()


def test_half_handshakes_do_not_stop_a_good_client():
    n = 2000 if LONG and not INSTRUMENTED else 300
    with authority() as ca, Gateway(config(gateway={"header_timeout_seconds": 2, **tls(ca.issue("server"))})) as g:
        hello = tls_hello()
        half = []
        for i in range(n):
            s = socket.create_connection(g.address, timeout=PATIENCE)
            s.sendall(hello[:1 + i % (len(hello) - 1)] if i % 2 else hello)
            half.append(s)
        assert b"200 OK" in ask(g, client(ca))
        assert act(g, client(ca)).json["decision"] == "ALLOW"
        for s in half:
            s.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                while s.recv(65536):
                    pass
            s.close()
        assert "it took too long" in g.read_log()
        assert b"200 OK" in ask(g, client(ca))


def tls_hello():
    """The first flight of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        c.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def test_a_handshake_in_small_pieces():
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server")))) as g:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = client(ca).wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(g.address, timeout=PATIENCE) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def drive(step):
                while True:
                    try:
                        value = step()
                    except ssl.SSLWantReadError:
                        value = None
                    for byte in outgoing.read():
                        raw.sendall(bytes([byte]))
                    if value is not None:
                        return value
                    incoming.write(raw.recv(7))

            drive(lambda: peer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"))
            assert drive(lambda: peer.read(65536)).startswith(b"HTTP/1.1 200")


def test_the_end_of_the_gateway():
    """Idle connections are told, what is worked on is answered, the process ends well."""
    with authority() as ca, Gateway(config(gateway=tls(ca.issue("server")))) as g:
        idle = shake(g, client(ca))
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        half = shake(g, client(ca))
        half.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n")
        until(lambda: half.pending() == 0, "sent")
        g.signal(signal.SIGTERM)
        # A clean end: without a close_notify this would raise.
        idle.suppress_ragged_eofs = False
        assert idle.recv(65536) == b""
        half.sendall(b"\r\n")
        assert g.process.wait(PATIENCE) == 0
        idle.close()
        half.close()


def test_the_beginning_of_a_record_holds_up_no_end():
    """One byte of a record that never comes is in the library's hands, and no request."""
    with authority() as ca, Gateway(config(gateway={**tls(ca.issue("server")), "shutdown_grace_seconds": 4})) as g:
        held = shake(g, client(ca))
        os.write(held.fileno(), b"\x17")
        ask(g, client(ca))
        g.signal(signal.SIGTERM)
        assert g.process.wait(PATIENCE) == 0
        held.close()


def test_what_fails_is_tried_again_and_said_once():
    with authority() as ca, tempfile.TemporaryDirectory() as folder:
        pair = ca.issue("server")
        cert, key = pathlib.Path(folder) / "cert.pem", pathlib.Path(folder) / "key.pem"
        shutil.copy(pair[0], cert)
        shutil.copy(pair[1], key)
        with Gateway(config(gateway=tls((cert, key)))) as g:
            def read_bytes():
                return int(pathlib.Path(f"/proc/{g.process.pid}/io").read_text().split()[1])

            away = key.rename(key.with_name("away.pem"))
            until(lambda: "not read anew" in g.read_log(), "the missing key is said")
            before = read_bytes()
            until(lambda: read_bytes() > before + 20 * cert.stat().st_size, "it is looked at again and again")
            assert g.read_log().count("not read anew") == 1
            away.rename(key)
            until(lambda: "are read anew" in g.read_log(), "the key that came back is taken")
