# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Principals by what a connection says of itself (docs/identity.md): processes on a unix socket."""
import json
import os

from support import AGENT_SECRET, API_KEY, Gateway, Workplace, action, config, sign
from test_listeners import UnixConnection


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
