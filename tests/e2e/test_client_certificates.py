# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Client certificates beyond their names: lists of revoked ones, proxies that are known by theirs, and our own programs that show one."""
import contextlib
import hashlib
import http.client
import json
import re
import shutil
import ssl
import time

from certificates import Authority, openssl
from receiver import Receiver
from support import API_KEY, OPERATOR_KEY, PATIENCE, Gateway, Workplace, action, config, until
from test_listeners import UnixConnection
from test_principals import REFUSED, agent_headers, over_tls, who
from test_tls import ask, authority, client, refusal, tls

ALERT = "SSLV3_ALERT_HANDSHAKE_FAILURE"


def asking(ca, crl=None, **more):
    """The section gateway of one that asks for client certificates."""
    if crl is not None:
        more["client_crl_file"] = str(crl)
    return tls(ca.issue("server"), client_ca_file=str(ca.cert), **more)


def is_refused(g, ca, pair):
    try:
        return b"200 OK" not in ask(g, client(ca, cert=pair))
    except (ssl.SSLError, ConnectionError):
        return True


def put(source, target):
    """As an agent that rotates files does it."""
    new = target.with_suffix(".new")
    shutil.copy(source, new)
    new.rename(target)


def count(g, text):
    return g.read_log().count(text)


def test_revoked_certificates():
    with authority() as ca:
        good, gone, later = (ca.issue(name, None, "clientAuth") for name in ("good", "gone", "later"))
        ca.revoke(gone[0])
        crl = ca.dir / "list.pem"
        put(ca.list_revoked(), crl)
        with Gateway(config(gateway=asking(ca, crl))) as g:
            assert b"200 OK" in ask(g, client(ca)), "none is shown"
            assert b"200 OK" in ask(g, client(ca, cert=good)) and b"200 OK" in ask(g, client(ca, cert=later))
            # As every other that is not good (test_tls.test_client_certificates).
            assert refusal(g, client(ca, cert=gone)) == ALERT
            until(lambda: "certificate revoked" in g.read_log(), "the reason is in the log")
            ca.revoke(later[0])
            put(ca.list_revoked(), crl)
            until(lambda: is_refused(g, ca, later), "the new list is read by itself")
            assert not is_refused(g, ca, good)
            # What is not a list, and one that cannot be read, change nothing and are said once for each state of the files.
            for junk in (b"junk", b"", good[0].read_bytes()):
                crl.write_bytes(junk)
                until(lambda j=junk: count(g, "holds no lists of revoked certificates") >= 1, "it is said")
                assert is_refused(g, ca, later) and not is_refused(g, ca, good)
            said = count(g, "holds no lists")
            for _ in range(20):
                ask(g, client(ca))
            assert count(g, "holds no lists") == said
            crl.unlink()
            until(lambda: "list.pem" in g.read_log().rsplit("holds no lists", 1)[1], "that it is missing is said")
            assert is_refused(g, ca, later) and not is_refused(g, ca, good)


class Held:
    """A connection that stays open."""

    def __init__(self, g, context):
        self.c = http.client.HTTPSConnection("localhost", g.address[1], timeout=PATIENCE, context=context)
        self.c.connect()
        self.socket = self.c.sock
        assert self.is_served()

    def is_served(self, path="/healthz"):
        """On the connection as it is; http.client would open another one."""
        assert self.c.sock is self.socket
        try:
            self.c.request("GET", path)
            return self.c.getresponse().read() != b""
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
            return False


def test_revoked_certificates_end_open_connections():
    with authority() as ca:
        good, gone = (ca.issue(name, None, "clientAuth") for name in ("good", "gone"))
        crl = ca.dir / "list.pem"
        put(ca.list_revoked(), crl)
        with Gateway(config(gateway=asking(ca, crl))) as g:
            held = {name: Held(g, client(ca, cert=pair)) for name, pair in (("good", good), ("gone", gone))}
            nobody = Held(g, client(ca))
            ca.revoke(gone[0])
            put(ca.list_revoked(), crl)
            until(lambda: is_refused(g, ca, gone), "the new list is read")
            assert not held["gone"].is_served(), "its certificate is revoked"
            assert "an open connection is closed" in g.read_log()
            assert held["good"].is_served() and nobody.is_served()
            # A list that is over says nothing of anybody any more.
            put(ca.list_revoked(ends=3), crl)
            until(lambda: not held["good"].is_served(), "the list has ended")
            assert nobody.is_served()


def test_a_list_that_ends_refuses_everybody():
    """Nobody knows then who is revoked. A new one ends that by itself."""
    with authority() as ca:
        good = ca.issue("good", None, "clientAuth")
        crl = ca.dir / "list.pem"
        put(ca.list_revoked(ends=4), crl)
        with Gateway(config(gateway=asking(ca, crl))) as g:
            until(lambda: "has expired: every client certificate is refused" in g.read_log(), "its end is said")
            until(lambda: is_refused(g, ca, good), "nobody is taken")
            assert refusal(g, client(ca, cert=good)) == ALERT
            assert b"200 OK" in ask(g, client(ca)), "who shows none is asked for nothing"
            assert count(g, "has expired: every client certificate") == 1
            put(ca.list_revoked(), crl)
            until(lambda: not is_refused(g, ca, good), "the new list is read by itself")


def test_a_list_that_is_not_good_at_the_start():
    with authority() as ca:
        other = Authority(ca.dir.parent / "other", "Test CA")  # of the same name
        lists = {"has expired": ca.list_revoked("old", begins=-7200, ends=-3600), "is not valid yet": ca.list_revoked("early", begins=3600),
                 "is not signed by the CA": other.list_revoked(), "holds no lists": ca.cert, "no such file": ca.dir / "missing.pem"}
        for why, path in lists.items():
            place = Workplace(config(gateway=asking(ca, path)))
            try:
                text = place.run("serve", "-c", "nomos.json", check=1).stderr.decode()
                assert path.name in text and why.lower() in text.lower(), (why, text)
                report = place.run("doctor", "-c", "nomos.json").stdout.decode()
                assert path.name in report, (why, report)
            finally:
                place.remove()
        place = Workplace(config(gateway=tls(ca.issue("server"), client_crl_file=str(ca.list_revoked()))))
        try:
            done = place.run("config", "check", "-c", "nomos.json", check=1)
            assert b"set gateway.tls.client_ca_file" in done.stdout + done.stderr, done
        finally:
            place.remove()


def test_the_end_of_a_list_is_told():
    with authority() as ca:
        good = ca.issue("server", ends=90 * 86400)
        crl = ca.dir / "list.pem"
        put(ca.list_revoked(ends=2 * 86400), crl)

        def left(g):
            text = over_tls(g, ca, None, "GET", "/metrics", headers={"Authorization": f"Bearer {OPERATOR_KEY}"}).body.decode()
            return float(re.search(r"^nomos_tls_crl_end_seconds (\S+)$", text, re.MULTILINE)[1]) - time.time()

        def said(g):
            done = g.place.run("doctor", "-c", "nomos.json", "--format", "json")
            return {c["id"]: c["message"] for c in json.loads(done.stdout)["checks"]}["gateway.certificates"]

        with Gateway(config(gateway=tls(good, client_ca_file=str(ca.cert)))) as g:
            assert left(g) < 0
        with Gateway(config(gateway=tls(good, client_ca_file=str(ca.cert), client_crl_file=str(crl)))) as g:
            assert 86400 < left(g) <= 2 * 86400 and "revoked" not in said(g), (left(g), said(g))
            put(ca.list_revoked(ends=7000), crl)
            until(lambda: left(g) <= 7000, "the new list is read by itself")
            assert "a list of revoked client certificates ends in 1 hours" in said(g), said(g)


def test_every_ca_of_a_chain_has_a_list():
    with authority() as ca:
        pair = ca.issue("middle", None, None, is_ca=True, key_usage="keyCertSign,cRLSign")
        middle = Authority.of(ca.dir.parent / "middle", *pair)
        leaf = middle.issue("leaf", None, "clientAuth")
        chained = ca.dir / "chained.pem"
        chained.write_bytes(leaf[0].read_bytes() + pair[0].read_bytes())
        shown = chained, leaf[1]
        crl = ca.dir / "list.pem"
        both = ca.dir / "both.pem"

        def join():
            both.write_bytes(ca.list_revoked().read_bytes() + middle.list_revoked().read_bytes())
            return both

        put(join(), crl)
        with Gateway(config(gateway=asking(ca, crl))) as g:
            assert not is_refused(g, ca, shown)
            put(ca.list_revoked(), crl)
            until(lambda: is_refused(g, ca, shown), "without the list of the one between nobody knows")
            put(join(), crl)
            until(lambda: not is_refused(g, ca, shown), "both lists")
            ca.revoke(pair[0])
            put(join(), crl)
            until(lambda: is_refused(g, ca, shown), "the one between is revoked itself")
        # Trusted as it is, without its root: its own list is enough.
        put(middle.list_revoked(), crl)
        with Gateway(config(gateway=tls(ca.issue("server"), client_ca_file=str(pair[0]), client_crl_file=str(crl)))) as g:
            assert not is_refused(g, ca, leaf)
            middle.revoke(leaf[0])
            put(middle.list_revoked(), crl)
            until(lambda: is_refused(g, ca, leaf), "revoked")


KEY = "nk_edge_" + 64 * "a"


def named_proxies(ca, *names, **gateway):
    options = config(gateway={"trusted_proxies": list(names), **asking(ca), **gateway}, identity={
        "spiffe": {"enabled": True, "trust_domain": "example.org"}, "mtls": {"dns_names": {"proxy.example.org": "proxy-as-a-client"}}})
    options["identity"]["hashed_keys"] = [
        {"id": "edge", "principal": "alice", "hash": "sha256:" + hashlib.sha256(KEY.encode()).hexdigest(), "networks": ["192.0.2.0/24"]}]
    return options


def test_a_proxy_that_is_known_by_its_certificate():
    with authority() as ca:
        spiffe = ca.issue("edge", "URI:spiffe://example.org/ns/edge/sa/proxy", "clientAuth")
        dns = ca.issue("proxy", "DNS:other.example.org,DNS:Proxy.example.org", "clientAuth")
        others = {
            "another path": ca.issue("path", "URI:spiffe://example.org/ns/edge/sa/proxy2", "clientAuth"),
            "another domain": ca.issue("domain", "URI:spiffe://example.com/ns/edge/sa/proxy", "clientAuth"),
            "as a DNS name": ca.issue("as-dns", "DNS:spiffe.example.org", "clientAuth"),
            "common name alone": ca.issue("cn", None, "clientAuth", subject="proxy.example.org"),
            "below it": ca.issue("below", "DNS:a.proxy.example.org", "clientAuth"),
        }
        said = {"X-Forwarded-For": "192.0.2.7"}
        bearer = {"Authorization": f"Bearer {KEY}"}
        with Gateway(named_proxies(ca, "spiffe://example.org/ns/edge/sa/proxy", "dns:proxy.example.org")) as g:
            for pair in (spiffe, dns):
                assert who(g, ca, pair, **bearer, **said) == "alice"
                assert who(g, ca, pair, **bearer, Forwarded="for=192.0.2.7") == "alice"
                assert who(g, ca, pair, **bearer, **{"X-Forwarded-For": "192.0.2.7, 203.0.113.9"}) == REFUSED, "the right-most one"
                # The proxy is nobody who asks, whatever its certificate could name.
                assert who(g, ca, pair, **said) == REFUSED
                assert who(g, ca, pair) == REFUSED
                assert over_tls(g, ca, pair, "GET", "/api/ui/session").status == 401
            for name, pair in others.items():
                seen = who(g, ca, pair, **bearer, **said)
                # The key is not known from here; a certificate of its own may be.
                assert seen == ("spiffe://example.org/ns/edge/sa/proxy2" if name == "another path" else REFUSED), (name, seen)
            assert who(g, ca, None, **bearer, **said) == REFUSED, "none is shown"
        # The same certificates where they are not named.
        with Gateway(named_proxies(ca, "spiffe://example.org/else")) as g:
            for more in ({}, {**bearer, **said}):
                assert who(g, ca, spiffe, **more) == "spiffe://example.org/ns/edge/sa/proxy"
                assert who(g, ca, dns, **more) == "proxy-as-a-client"


def test_the_clients_of_a_named_proxy_are_limited_each():
    with authority() as ca:
        pair = ca.issue("edge", "DNS:proxy.example.org", "clientAuth")
        with Gateway(named_proxies(ca, "dns:proxy.example.org", failed_auth_per_minute=3)) as g:
            wrong = {"Authorization": "Bearer wrong"}
            seen = [who(g, ca, pair, **wrong, **{"X-Forwarded-For": "198.51.100.1"})[0] for _ in range(4)]
            assert seen == [401, 401, 401, 429], seen
            assert who(g, ca, pair, **wrong, **{"X-Forwarded-For": "198.51.100.2"})[0] == 401
            # For itself, and for whom it does not say: many may stand behind it.
            assert {who(g, ca, pair, **wrong)[0] for _ in range(8)} == {401}
            assert who(g, ca, None, **wrong)[0] == 401


def test_a_named_proxy_has_no_cap_per_address():
    with authority() as ca:
        pair = ca.issue("edge", "DNS:proxy.example.org", "clientAuth")
        with Gateway(named_proxies(ca, "dns:proxy.example.org", max_connections_per_address=2)) as g, contextlib.ExitStack() as held:
            def hold(cert):
                connection = http.client.HTTPSConnection("localhost", g.address[1], context=client(ca, cert=cert), timeout=20)
                held.callback(connection.close)
                connection.request("GET", "/healthz")
                answer = connection.getresponse()
                answer.read()
                return answer.status

            assert [hold(pair) for _ in range(6)] == 6 * [200]
            assert [hold(None) for _ in range(2)] == 2 * [200]
            try:
                raise AssertionError(hold(None))
            except (OSError, http.client.HTTPException):
                pass
            until(lambda: "as many as one address may" in g.read_log(), "the cap of everybody else")


def test_a_certificate_with_too_many_names():
    """A proxy's name might be the one that is left out: who shows it is nobody, neither client nor proxy."""
    with authority() as ca:
        names = [f"DNS:n{i}.example.org" for i in range(15)]
        most = ca.issue("most", ",".join([*names, "DNS:proxy.example.org"]), "clientAuth")
        more = ca.issue("more", ",".join([*names, "DNS:n15.example.org", "DNS:proxy.example.org"]), "clientAuth")
        with Gateway(named_proxies(ca, "dns:proxy.example.org")) as g:
            assert not is_refused(g, ca, most)
            assert is_refused(g, ca, more)
            until(lambda: "or are too many" in g.read_log(), "the reason is in the log")


def test_named_proxies_that_make_no_sense():
    with authority() as ca:
        for names, gateway, why in (
                (["spiffe://a.example/x"], {}, "set gateway.tls.client_ca_file"),
                (["dns:"], asking(ca), "is no trusted proxy"),
                (["spiffe://"], asking(ca), "is no trusted proxy"),
                (["cn:proxy"], asking(ca), "is no trusted proxy"),
                (["dns:two names"], asking(ca), "is no trusted proxy"),
                (["dns:a.example"], {**asking(ca), "listeners": [{"name": "a", "listen": "127.0.0.1:0", "proxy_protocol": True}]},
                 "proxy_protocol needs addresses")):
            place = Workplace(config(gateway={"trusted_proxies": names, **gateway}))
            try:
                done = place.run("config", "check", "-c", "nomos.json", check=1)
                assert why in (done.stdout + done.stderr).decode(), (names, done)
            finally:
                place.remove()


@contextlib.contextmanager
def keys_of(g):
    """Files of the keys of an operator and an agent."""
    operator, agent = g.place.dir / "operator.key", g.place.dir / "agent.key"
    operator.write_text(OPERATOR_KEY)
    agent.write_text(API_KEY)
    yield operator, agent


def test_our_own_programs_show_a_certificate():
    with authority() as ca:
        good, other = ca.issue("good", None, "clientAuth"), Authority(ca.dir.parent / "other", "Other").issue("x", None, "clientAuth")
        with Gateway(config(gateway=asking(ca, require_mtls=True), approvals={"enabled": True})) as g, keys_of(g) as (operator, agent):
            url = f"https://localhost:{g.address[1]}"
            body = g.place.dir / "action.json"
            body.write_text(json.dumps(action()))
            one_file = ca.dir / "one.pem"
            one_file.write_bytes(good[0].read_bytes() + good[1].read_bytes())

            def listed(*more, check, env=None):
                return g.place.run("approvals", "list", "--url", url, "--key-file", str(operator), "--ca-file", str(ca.cert), *more,
                                   check=check, env=env)

            assert b"approvals" in listed("--cert", str(good[0]), "--cert-key", str(good[1]), "--format", "json", check=0).stdout
            listed("--cert", str(one_file), check=0)
            listed(check=0, env={"NOMOS_CERT_FILE": str(good[0]), "NOMOS_CERT_KEY_FILE": str(good[1])})
            for more in ((), ("--cert", str(other[0]), "--cert-key", str(other[1])), ("--cert", str(good[0]), "--cert-key", str(other[1])),
                         ("--cert", str(ca.dir / "missing.pem"))):
                done = listed(*more, check=1)
                assert b"is the gateway running?" in done.stderr and b"PRIVATE" not in done.stderr, (more, done)
            # A key with a passphrase is an error, not a question.
            locked = ca.dir / "locked.key"
            openssl("pkey", "-in", good[1], "-out", locked, "-aes128", "-passout", "pass:secret")
            listed("--cert", str(good[0]), "--cert-key", str(locked), check=1)
            sent = g.place.run("send", "-c", "nomos.json", "--url", url, "--key-file", str(agent), "--ca-file", str(ca.cert), "--cert", str(good[0]),
                               "--cert-key", str(good[1]), str(body), check=0)
            assert json.loads(sent.stdout)["decision"] == "ALLOW"
            g.place.run("actions", "unknown", "--url", url, "--key-file", str(operator), "--ca-file", str(ca.cert), "--cert", str(one_file), check=0)


def test_our_own_programs_reach_a_unix_socket():
    place = Workplace()
    options = config(approvals={"enabled": True})
    del options["gateway"]["listen"]
    path = place.dir / "nomos.sock"
    options["gateway"]["listeners"] = [{"name": "local", "listen": f"unix:{path}"},
                                       {"name": "tcp", "listen": "127.0.0.1:0", "roles": ["health"]}]
    place.write_config(options)
    body = place.dir / "action.json"
    body.write_text(json.dumps(action()))
    try:
        with Gateway(workplace=place) as g, keys_of(g) as (operator, agent):
            at = ("--url", f"unix:{path}")
            assert b"approvals" in place.run("approvals", "list", *at, "--key-file", str(operator), "--format", "json", check=0).stdout
            for where in (at, ()):  # said, and of the configuration
                sent = place.run("send", "-c", "nomos.json", *where, "--key-file", str(agent), str(body), check=0)
                assert json.loads(sent.stdout)["decision"] == "ALLOW", sent
            wrong = place.run("approvals", "list", "--url", f"unix:{place.dir}/none.sock", "--key-file", str(operator), check=1)
            assert b"none.sock" in wrong.stderr and b"is the gateway running?" in wrong.stderr, wrong
            for text in ("unix:relative", "unix:/", "unix:/" + "x" * 108):
                wrong = place.run("approvals", "list", "--url", text, "--key-file", str(operator), check=1)
                assert b"whole path of a socket" in wrong.stderr, wrong
            connection = UnixConnection(path)
            assert g.request("GET", "/healthz", connection=connection).status == 200
            connection.close()
    finally:
        place.remove()


def test_a_webhook_receiver_that_asks_for_a_certificate():
    with authority() as ca:
        server, pair = ca.issue("receiver"), ca.issue("sender", None, "clientAuth")
        for shown in (True, False):
            with Receiver(tls=server, client_ca=ca.cert) as receiver:
                more = {"cert_file": str(pair[0]), "key_file": str(pair[1])} if shown else {}
                audit = {"sink": f"webhook:https://localhost:{receiver.port}/records",
                         "webhook": {"secret": "receiver-secret", "ca_file": str(ca.cert), "retry_max_ms": 20, **more}}
                with Gateway(config(audit=audit)) as g:
                    assert g.act().json["decision"] == "ALLOW"
                    if shown:
                        until(lambda r=receiver: any(x["event_type"] == "action.decision" for x in r.taken), "it is delivered")
                    else:
                        until(lambda r=receiver: r.n_refused > 0, "it was tried")
                        assert not receiver.taken
                    assert not receiver.faults, receiver.faults
