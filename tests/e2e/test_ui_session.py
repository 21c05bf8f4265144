# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Signing in on the operator page, and everything that must not pass for it (decisions 40)."""
import json

from support import API_KEY, OPERATOR_KEY, Gateway, action, config, signal, until

ROLES = {"roles": {"operator": ["olga"], "viewer": ["olga"]}}


def sign_in(g, key=OPERATOR_KEY, **headers):
    return g.request("POST", "/api/ui/session", json.dumps({"api_key": key}).encode(),
                     {"Content-Type": "application/json", **headers})


def cookie_of(reply):
    return reply.headers["Set-Cookie"].split(";")[0]


def origin(g):
    return f"http://{g.address[0]}:{g.address[1]}"


def test_sign_in_use_and_sign_out():
    with Gateway(config(identity=ROLES)) as g:
        r = sign_in(g)
        assert r.status == 200 and r.json["principal"] == "olga" and r.json["roles"] == ["viewer", "operator"], r
        assert r.headers["Cache-Control"] == "no-store"
        attributes = [a.strip() for a in r.headers["Set-Cookie"].split(";")[1:]]
        assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"], attributes
        cookie, csrf = cookie_of(r), r.json["csrf_token"]
        assert len(cookie) == len("nomos_session=") + 64 and csrf not in cookie
        who = g.get("/api/ui/session", {"Cookie": cookie})
        assert who.status == 200 and who.json == r.json, who
        own = {"Cookie": cookie, "Origin": origin(g), "X-Nomos-Csrf": csrf, "Sec-Fetch-Site": "same-origin"}
        assert g.request("POST", "/admin/reload", b"", own).status == 200
        out = g.request("DELETE", "/api/ui/session", b"", own)
        assert out.status == 204 and "Max-Age=0" in out.headers["Set-Cookie"], out
        # The cookie is worth nothing now, whoever kept it.
        for method, path in (("GET", "/api/ui/session"), ("POST", "/admin/reload"), ("DELETE", "/api/ui/session")):
            assert g.request(method, path, b"", own).status == 401


def test_api_key_works_alike_and_needs_no_token():
    with Gateway(config(identity=ROLES)) as g:
        r = g.operator("GET", "/api/ui/session")
        assert r.status == 200 and r.json["principal"] == "olga" and r.json["csrf_token"] is None, r
        # A key that is wrong is not made good by a cookie beside it.
        cookie = cookie_of(sign_in(g))
        assert g.get("/api/ui/session", {"Cookie": cookie, "Authorization": "Bearer nope"}).status == 401
        assert g.operator("DELETE", "/api/ui/session").status == 204


def test_wrong_and_unknown_keys_look_the_same_and_are_limited():
    with Gateway(config(identity=ROLES)) as g:
        replies = [sign_in(g, key) for key in ("nk_ops_wrong", "nope", OPERATOR_KEY + "x", OPERATOR_KEY[:-1])]
        assert {(r.status, r.body) for r in replies} == {
            (401, b'{"decision":"DENY","reason":"auth_error: principal authentication failed"}')}, replies
        assert not [r for r in replies if "Set-Cookie" in r.headers]
        limited = [r for r in (sign_in(g, "nope") for _ in range(12)) if r.status == 429]
        assert limited and int(limited[0].headers["Retry-After"]) >= 1, limited
        # Who has a key is never kept out by those who guess.
        assert sign_in(g).status == 200
        # A principal without any role has no business on the page.
        assert sign_in(g, API_KEY).status == 403


def test_sign_in_takes_json_from_its_own_page_only():
    with Gateway(config(identity=ROLES)) as g:
        for headers, status in (({"Origin": origin(g)}, 200), ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Origin": "http://evil.example"}, 403),
                                ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403),
                                ({"Origin": origin(g), "Sec-Fetch-Site": "cross-site"}, 403), ({"Content-Type": "text/plain"}, 415),
                                ({"Content-Type": "application/x-www-form-urlencoded"}, 415)):
            assert sign_in(g, **headers).status == status, headers
        json_type = {"Content-Type": "application/json"}
        for body, status in ((b"", 400), (b"{}", 400), (b"[]", 400), (b'{"api_key":1}', 400), (b'{"api_key":""}', 400),
                             (b'{"api_key":"a","more":1}', 400), (b'{"api_key":"' + b"a" * 20000 + b'"}', 413)):
            assert g.request("POST", "/api/ui/session", body, json_type).status == status, body[:40]


def test_no_session_is_fixed_in_advance():
    with Gateway(config(identity=ROLES)) as g:
        planted = "nomos_session=" + "ab" * 32
        r = sign_in(g, Cookie=planted)
        assert r.status == 200 and cookie_of(r) != planted
        assert g.get("/api/ui/session", {"Cookie": planted}).status == 401
        # Signing in again replaces what was there.
        second = sign_in(g, Cookie=cookie_of(r))
        assert g.get("/api/ui/session", {"Cookie": cookie_of(r)}).status == 401
        assert g.get("/api/ui/session", {"Cookie": cookie_of(second)}).status == 200


def test_changes_need_the_token_and_our_page():
    with Gateway(config(identity=ROLES)) as g:
        r = sign_in(g)
        cookie, csrf = cookie_of(r), r.json["csrf_token"]
        other = sign_in(g).json["csrf_token"]
        good = {"Cookie": cookie, "Origin": origin(g), "X-Nomos-Csrf": csrf}
        for change in ({"X-Nomos-Csrf": None}, {"X-Nomos-Csrf": ""}, {"X-Nomos-Csrf": other}, {"X-Nomos-Csrf": csrf.upper()},
                       {"X-Nomos-Csrf": csrf[:-1]}, {"Origin": None}, {"Origin": "null"}, {"Origin": "http://evil.example"},
                       {"Origin": origin(g) + ".evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}):
            headers = {k: v for k, v in {**good, **change}.items() if v is not None}
            for method, path in (("POST", "/admin/reload"), ("DELETE", "/api/ui/session")):
                reply = g.request(method, path, b"", headers)
                assert reply.status == 403 and "csrf_error" in reply.json["reason"], (change, reply)
        # Reading from another page is not answered either, whatever the browser let through.
        assert g.get("/api/ui/session", {"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}).status == 401
        assert g.get("/api/ui/session", {"Cookie": cookie, "Origin": "http://evil.example"}).status == 401
        assert g.request("POST", "/admin/reload", b"", good).status == 200


def test_odd_cookies():
    with Gateway(config(identity=ROLES)) as g:
        cookie = cookie_of(sign_in(g))
        value = cookie.split("=")[1]
        for line in (cookie + "; " + cookie, "nomos_session=" + "0" * 64 + "; " + cookie, cookie + "; nomos_session=", cookie.upper(),
                     "nomos_session=" + value.upper(), f'nomos_session="{value}"', "nomos_session=" + value + "0", "nomos_session=" + value[:-1],
                     "nomos_session=", "nomos_session=" + "a" * 4000, "nomos_session=" + value[:32], "x" * 3000):
            assert g.get("/api/ui/session", {"Cookie": line}).status == 401, line[:100]
        # Two lines are one request with two cookies.
        raw = (f"GET /api/ui/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {cookie}\r\nCookie: {cookie}\r\n\r\n").encode()
        assert g.raw(raw).startswith(b"HTTP/1.1 401 ")
        assert g.get("/api/ui/session", {"Cookie": "a=1; " + cookie + "; b=2"}).status == 200


def test_agents_routes_never_take_the_cookie():
    with Gateway(config(identity=ROLES)) as g:
        r = sign_in(g)
        raw = json.dumps(action()).encode()
        headers = g.auth(raw)
        del headers["Authorization"]
        headers.update({"Cookie": cookie_of(r), "Origin": origin(g), "X-Nomos-Csrf": r.json["csrf_token"]})
        for path in ("/action", "/run", "/explain"):
            assert g.request("POST", path, raw, headers).status == 401


def test_session_dies_with_its_key_and_role_at_a_reload():
    with Gateway(config(identity=ROLES)) as g:
        cookie = {"Cookie": cookie_of(sign_in(g))}
        assert g.operator("POST", "/admin/reload").status == 200
        assert g.get("/api/ui/session", cookie).status == 200
        g.place.write_config(config(identity={"roles": {"viewer": ["olga"]}}))
        g.signal(signal.SIGHUP)
        until(lambda: g.get("/api/ui/session", cookie).status == 401, "the session ends with its role")
        # As a viewer she may come back, and may not operate.
        r = sign_in(g)
        cookie = {"Cookie": cookie_of(r), "Origin": origin(g), "X-Nomos-Csrf": r.json["csrf_token"]}
        assert r.json["roles"] == ["viewer"]
        refused = g.request("POST", "/admin/reload", b"", cookie)
        assert refused.status == 403 and refused.json["reason"].startswith("forbidden"), refused
        changed = config(identity={"roles": {"viewer": ["olga"]}})
        changed["identity"]["api_keys"] = {API_KEY: "alice", "another-key": "olga"}
        g.place.write_config(changed)
        g.signal(signal.SIGHUP)
        until(lambda: g.get("/api/ui/session", cookie).status == 401, "the session ends with its key")


def test_cookie_is_secure_where_others_could_listen():
    with Gateway(config(identity=ROLES, gateway={"listen": "0.0.0.0:0"})) as g:
        assert "; Secure" in sign_in(g).headers["Set-Cookie"]
