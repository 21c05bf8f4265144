# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Principals by what a connection says of itself (docs/identity.md): names in client certificates, processes on a unix socket."""
import json
import os

from support import AGENT_SECRET, API_KEY, PATIENCE, Gateway, Workplace, action, config, http, sign
from test_listeners import UnixConnection
from test_tls import authority, client, tls


def unix_gateway(place, users, **identity):
    options = config(identity={"unix": {"users": users}, **identity})
    del options["gateway"]["listen"]
    options["gateway"]["listeners"] = [{"name": "local", "listen": f"unix:{place.dir}/nomos.sock"},
                                       {"name": "tcp", "listen": "127.0.0.1:0"}]
    place.write_config(options)
    return place.dir / "nomos.sock"


def ask(g, path, method, target, body=b"", headers=None):
    connection = UnixConnection(path)
    try:
        return g.request(method, target, body, headers, connection)
    finally:
        connection.close()


def agent_headers(raw, **more):
    return {"X-Nomos-Agent-Id": "bot", "X-Nomos-Agent-Signature": sign(AGENT_SECRET, raw), "Content-Type": "application/json", **more}


def test_a_process_is_its_user():
    place = Workplace()
    try:
        path = unix_gateway(place, {str(os.getuid()): "carol", "54321": "mallory"}, roles={"operator": ["carol", "olga"]})
        raw = json.dumps(action()).encode()
        with Gateway(workplace=place) as g:
            r = ask(g, path, "POST", "/action", raw, agent_headers(raw))
            assert r.status == 200, r
            # An API key comes first, a service's signature too; one that is wrong takes nothing away.
            for headers, who in (({"Authorization": f"Bearer {API_KEY}"}, "alice"), ({"Authorization": "Bearer nope"}, "carol"),
                                 ({"X-Nomos-Service-Id": "svc", "X-Nomos-Service-Signature": sign("service-secret", raw)}, "svc")):
                assert ask(g, path, "POST", "/action", raw, agent_headers(raw, **headers)).status == 200
                assert [x for x in g.records() if x["event_type"] == "action.decision"][-1]["principal"] == who
            # Its agent still has to sign, and over TCP nobody has a user.
            assert ask(g, path, "POST", "/action", raw, {"X-Nomos-Agent-Id": "bot", "Content-Type": "application/json"}).status == 401
            assert g.request("POST", "/action", raw, agent_headers(raw)).status == 401
            # Operators' routes, but not for a page of another site.
            assert ask(g, path, "GET", "/api/ui/session").json["principal"] == "carol"
            assert ask(g, path, "POST", "/admin/reload").status == 200
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
                assert ask(g, path, "POST", "/admin/reload", headers=headers).status == 401, headers
            # A cookie is judged alone.
            assert ask(g, path, "GET", "/api/ui/session", headers={"Cookie": "nomos_session=" + "0" * 64}).status == 401
    finally:
        place.remove()


def test_another_user_is_nobody():
    place = Workplace()
    try:
        path = unix_gateway(place, {str(os.getuid() + 1): "carol"})
        raw = json.dumps(action()).encode()
        with Gateway(workplace=place) as g:
            r = ask(g, path, "POST", "/action", raw, agent_headers(raw))
            assert r.status == 401 and r.json["reason"] == "auth_error: principal authentication failed", r
            for headers in ({"X-Forwarded-User": "carol"}, {"X-Nomos-Principal": "carol"}, {"X-Client-Cert": "carol"},
                            {"X-Forwarded-Client-Cert": "URI=spiffe://example.org/carol"}):
                assert ask(g, path, "POST", "/action", raw, agent_headers(raw, **headers)).status == 401, headers
    finally:
        place.remove()


def mutual(ca, **more):
    return tls(ca.issue("server"), client_ca_file=str(ca.cert), **more)


def over_tls(g, ca, pair, method, target, body=b"", headers=None):
    connection = http.client.HTTPSConnection("localhost", g.address[1], timeout=PATIENCE, context=client(ca, cert=pair))
    try:
        return g.request(method, target, body, headers, connection)
    finally:
        connection.close()


def who(g, ca, pair, **headers):
    """The principal that an action of this client is recorded with, or its status and body."""
    raw = json.dumps(action()).encode()
    r = over_tls(g, ca, pair, "POST", "/action", raw, agent_headers(raw, **headers))
    if r.status != 200:
        return r.status, r.body
    return [x for x in g.records() if x["event_type"] == "action.decision"][-1]["principal"]


REFUSED = (401, b'{"decision":"DENY","reason":"auth_error: principal authentication failed"}')
RUNNER = "URI:spiffe://example.org/ns/ci/sa/runner"


def test_spiffe_ids():
    spiffe = {"enabled": True, "trust_domain": "example.org", "principals": {"/ns/ci/sa/runner": "ci-runner"}}
    identity = {"spiffe": spiffe, "mtls": {"dns_names": {"build.example.org": "builder"}, "common_names": {"Build Server": "by-name"}},
                "roles": {"operator": ["ci-runner", "olga"]}}
    with authority() as ca:
        def pair(name, names, subject=None):
            return ca.issue(name, names, "clientAuth", subject=subject)

        good = {"mapped": (RUNNER, "ci-runner"), "another": ("URI:spiffe://example.org/other", "spiffe://example.org/other"),
                "dns": ("DNS:build.example.org", "builder"), "dns-case": ("DNS:Build.Example.org", "builder")}
        bad = {"domain": "URI:spiffe://example.com/ns/ci/sa/runner", "longer": "URI:spiffe://example.org.evil.example/ns/ci/sa/runner",
               "two": f"{RUNNER},URI:spiffe://example.org/b", "two-domains": f"{RUNNER},URI:spiffe://example.com/b",
               "and-web": f"{RUNNER},URI:https://example.org/", "slash": "URI:spiffe://example.org/ns/ci/sa/runner/",
               "dots": "URI:spiffe://example.org/ns/../ns/ci/sa/runner", "port": "URI:spiffe://example.org:1/ns/ci/sa/runner",
               "query": "URI:spiffe://example.org/ns/ci/sa/runner?a", "no-path": "URI:spiffe://example.org",
               "upper": "URI:SPIFFE://example.org/ns/ci/sa/runner", "other-dns": "DNS:build.example.org.evil.example",
               "domain-and-dns": "URI:spiffe://example.com/a,DNS:build.example.org"}
        with Gateway(config(identity=identity, gateway=mutual(ca))) as g:
            for name, (names, principal) in good.items():
                assert who(g, ca, pair(name, names)) == principal, name
            assert who(g, ca, pair("cn", None, "Build Server")) == "by-name"
            for name, names in bad.items():
                seen = who(g, ca, pair(name, names))
                assert seen == REFUSED, (name, seen)
            assert who(g, ca, None) == REFUSED, "no certificate"
            assert who(g, ca, None, Authorization=f"Bearer {API_KEY}") == "alice"
            runner = ca.dir / "mapped.pem", ca.dir / "mapped.key"
            # An API key comes first; a header cannot make a name; operators' routes, but not for a page of another site.
            assert who(g, ca, runner, Authorization=f"Bearer {API_KEY}") == "alice"
            spoof = {"X-Forwarded-Client-Cert": "URI=spiffe://example.org/ns/ci/sa/runner", "X-Spiffe-Id": "spiffe://example.org/x",
                     "X-SSL-Client-S-DN": "CN=Build Server"}
            assert who(g, ca, None, **spoof) == REFUSED
            assert over_tls(g, ca, runner, "GET", "/api/ui/session").json["principal"] == "ci-runner"
            assert over_tls(g, ca, runner, "POST", "/admin/reload", headers={"Sec-Fetch-Site": "cross-site"}).status == 401
            assert over_tls(g, ca, runner, "POST", "/admin/reload").status == 200
        identity["spiffe"] = {**spiffe, "only_listed": True}
        with Gateway(config(identity=identity, gateway=mutual(ca, require_mtls=True))) as g:
            assert who(g, ca, runner) == "ci-runner"
            assert who(g, ca, (ca.dir / "another.pem", ca.dir / "another.key")) == REFUSED


def test_names_of_certificates_need_certificates():
    """Weak spot 22: a configuration that could never work is refused."""
    for identity in ({"spiffe": {"enabled": True, "trust_domain": "example.org"}}, {"mtls": {"dns_names": {"a.example": "a"}}}):
        place = Workplace(config(identity=identity))
        try:
            done = place.run("config", "check", "-c", "nomos.json")
            assert done.returncode == 1 and b"gateway.tls.client_ca_file" in done.stdout + done.stderr, done
        finally:
            place.remove()
