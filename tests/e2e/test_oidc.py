# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Signed tokens of an OpenID provider (decisions 40): which are taken, for whom, and what happens while keys rotate or cannot be had."""
import contextlib
import json

from certificates import Authority
from provider import Provider, encode, hmac_token, join
from test_metrics import metrics, value
from test_tls import authority
from support import API_KEY, OPERATOR_KEY, Gateway, Workplace, action, config, signal, until

REFUSED = (401, b'{"decision":"DENY","reason":"auth_error: principal authentication failed"}')


def options(provider, oidc=None, **sections):
    identity = {"oidc": provider.section(**(oidc or {})), **sections.pop("identity", {})}
    return config(identity=identity, **sections)


@contextlib.contextmanager
def gateway(provider, oidc=None, policy=None, **sections):
    with Gateway(options(provider, oidc, **sections), policy) as g:
        yield g


def act(g, token):
    r = g.act(key=token)
    return (r.status, r.body)


def takes(g, token):
    return act(g, token)[0] == 200


def until_taken(g, token):
    until(lambda: takes(g, token), "the token is taken")


def principals(g):
    return [r["principal"] for r in g.records() if r["event_type"] == "action.decision"]


def test_tokens_of_each_kind():
    with Provider() as p:
        p.keys = [p.new_key(kind, kind) for kind in ("RS256", "ES256", "EdDSA")]
        with gateway(p, {"principal_prefix": "oidc:"}) as g:
            until_taken(g, p.token(p.keys[0], sub="first"))
            for key in p.keys:
                assert takes(g, p.token(key, sub=key.kind)), key.kind
            assert principals(g)[-3:] == ["oidc:RS256", "oidc:ES256", "oidc:EdDSA"]
            # One fetch for all of them.
            assert (p.n_asked("openid-configuration"), p.n_asked()) == (1, 1), p.asked
            _, samples = metrics(g)
            assert value(samples, "nomos_token_keys") == 3 and value(samples, "nomos_token_key_fetches_total") == 1
            assert value(samples, "nomos_tokens_verified_total") == 4, "each once, however often it is looked at"
            assert abs(value(samples, "nomos_token_keys_fetched_timestamp_seconds") - p.claims()["iat"]) < 3600


def bad_tokens(p):
    """Everything that is wrong with one, each for one reason alone."""
    rsa, ec = p.keys
    other = p.new_key("ES256", "other")
    other.kid = ec.kid
    now = p.claims()["iat"] + 5
    good = p.claims()
    head = {"alg": "RS256", "kid": rsa.kid}
    parts = p.token(ec).split(".")
    yield "another key", p.token(other)
    yield "unknown kid", p.token(ec, {"kid": "gone"})
    yield "no kid", p.token(ec, {"kid": None})
    yield "expired", p.token(ec, exp=now - 40)
    yield "not yet valid", p.token(ec, nbf=now + 60)
    yield "issued later", p.token(ec, iat=now + 60)
    yield "lives too long", p.token(ec, exp=now + 100_000)
    yield "another audience", p.token(ec, aud="other")
    yield "another issuer", p.token(ec, iss="http://127.0.0.1:1/realm")
    for name in ("exp", "iat", "iss", "aud", "sub"):
        yield f"no {name}", p.token(ec, **{name: None})
    yield "blank subject", p.token(ec, sub=" ")
    yield "alg none", join({**head, "alg": "none"}, good, lambda data: b"")
    yield "alg none with a signature", join({**head, "alg": "none"}, good, lambda data: b"x")
    yield "HMAC with the public key", hmac_token(rsa.public_pem(), good, {**head, "alg": "HS256"})
    yield "HMAC with the public key as RS256", hmac_token(rsa.public_pem(), good, head)
    yield "RS256 for the EC key", p.token(rsa, {"kid": ec.kid})
    yield "ES256 for the RSA key", p.token(ec, {"kid": rsa.kid})
    yield "crit", p.token(ec, {"crit": ["exp"]})
    yield "own key in the header", other.token(good, {"jwk": other.jwk()})
    yield "keys elsewhere", other.token(good, {"jku": f"{p.issuer}/keys"})
    yield "a token in a token", join({"alg": "ES256", "kid": ec.kid, "cty": "JWT"}, p.token(ec).encode(), ec.sign)
    yield "another type", p.token(ec, {"typ": "logout+jwt"})
    yield "bound to a key", p.token(ec, cnf={"jkt": "x"})
    yield "duplicate claim", join({"alg": "ES256", "kid": ec.kid},
                                  json.dumps(good).encode()[:-1] + b',"sub":"root"}', ec.sign)
    yield "padded", p.token(ec) + "="
    yield "five parts", p.token(ec) + ".AA.AA"
    yield "two parts", ".".join(parts[:2])
    yield "signature cut", p.token(ec)[:-4]
    yield "signature longer", join({"alg": "ES256", "kid": ec.kid}, good, lambda data: ec.sign(data) + b"\0")
    yield "claims of another", ".".join([parts[0], encode(json.dumps({**good, "sub": "root"}).encode()), parts[2]])
    yield "too large", p.token(ec, padding="x" * 7000)


def test_refused_alike():
    with Provider() as p:
        p.keys = [p.new_key("RS256", "rsa"), p.new_key("ES256", "ec")]
        with gateway(p, {"refresh_floor_seconds": 3600}) as g:
            until_taken(g, p.token(p.keys[1]))
            n = len(principals(g))
            for what, token in bad_tokens(p):
                for path in ("/action", "/explain", "/actions/report"):
                    r = g.post(path, action(), key=token)
                    assert (r.status, r.body) == REFUSED, (what, path, r)
                for path in ("/api/ui/overview", "/api/ui/session"):
                    r = g.get(path, {"Authorization": f"Bearer {token}"})
                    assert (r.status, r.body) == REFUSED, (what, path, r)
            assert len(principals(g)) == n
            assert takes(g, p.token(p.keys[0])), "and good ones still pass"
            assert "a token was refused: " in g.read_log()
            assert "eyJ" not in g.read_log(), "no token in the log"


def test_clock_leeway():
    with Provider() as p, gateway(p, {"leeway_seconds": 300}) as g:
        until_taken(g, p.token())
        now = p.claims()["iat"] + 5
        # A minute to either side of each edge, so that nothing depends on how fast this runs.
        for claims, want in (({"iat": now - 600, "exp": now - 240}, True), ({"iat": now - 600, "exp": now - 360}, False),
                             ({"iat": now + 240}, True), ({"iat": now + 360}, False),
                             ({"nbf": now + 240}, True), ({"nbf": now + 360}, False)):
            assert takes(g, p.token(**{"exp": now + 600, **claims})) is want, claims


def test_rotation_with_overlap():
    with Provider() as p, gateway(p, {"refresh_seconds": 1}) as g:
        old = p.keys[0]
        until_taken(g, p.token(old))
        new = p.new_key(kid="k2")
        p.keys = [old, new]
        until_taken(g, p.token(new))
        assert takes(g, p.token(old)), "both are published"
        p.keys = [new]
        until(lambda: not takes(g, p.token(old)), "the old key is withdrawn")
        assert takes(g, p.token(new))


def test_abrupt_rotation():
    """A key that nobody knows makes the keys be fetched; the token that named it is refused until they are here."""
    with Provider() as p, gateway(p, {"refresh_seconds": 3600, "max_stale_seconds": 3600}) as g:
        old, new = p.keys[0], p.new_key(kid="k2")
        until_taken(g, p.token(old))
        p.keys = [new]
        assert act(g, p.token(new)) == REFUSED
        until_taken(g, p.token(new))
        assert act(g, p.token(old)) == REFUSED


def test_unknown_kids_do_not_become_fetches():
    with Provider() as p, gateway(p, {"refresh_floor_seconds": 3600}) as g:
        key = p.keys[0]
        until_taken(g, p.token())
        for i in range(40):
            assert act(g, p.token(header={"kid": f"k-{i}"})) == REFUSED
        assert takes(g, p.token(key))
        assert p.n_asked() == 1, p.asked
    # And what another issuer's tokens name is not asked for at all.
    with Provider() as p, gateway(p) as g:
        until_taken(g, p.token())
        for i in range(5):
            assert act(g, p.token(header={"kid": f"k-{i}"}, iss="https://other.example")) == REFUSED
        assert act(g, p.token(header={"kid": "own"})) == REFUSED
        until(lambda: p.n_asked() == 2, "the one of its own is")


def test_provider_down_at_start():
    with Provider() as p:
        p.stop()
        with gateway(p) as g:
            assert act(g, p.token()) == REFUSED
            assert g.act().status == 200, "API keys need no provider"
            until(lambda: "there are none" in g.read_log(), "the failure is told")
            p.start()
            until_taken(g, p.token())


def test_provider_down_later():
    with Provider() as p, gateway(p, {"refresh_seconds": 1, "max_stale_seconds": 4}) as g:
        until_taken(g, p.token())
        p.stop()
        until(lambda: "those of before are used" in g.read_log(), "a fetch fails")
        until(lambda: act(g, p.token()) == REFUSED, "the keys are too old")
        assert g.act().status == 200
        p.start()
        until_taken(g, p.token())


def test_documents_that_are_not_taken():
    with Provider() as p, gateway(p, {"refresh_seconds": 1}) as g:
        old, new = p.keys[0], p.new_key(kid="k2")
        until_taken(g, p.token(old))
        p.keys = [new]
        for how, why in (("500", "status 500"), ("redirect", "status 302"), ("huge", "longer than"), ("no-json", "discovery document"),
                         ("other-issuer", "another issuer's")):
            p.act = how
            until(lambda why=why: any("token keys of" in line and why in line for line in g.read_log().splitlines()), how)
            assert takes(g, p.token(old)), "what was fetched before is kept"
            assert act(g, p.token(new)) == REFUSED
        p.act = "ok"
        until_taken(g, p.token(new))


def test_nobody_waits_for_a_fetch():
    with Provider() as p:
        p.act = "hang"
        with gateway(p) as g:
            until(lambda: p.asked, "the provider is asked")
            for _ in range(20):
                assert act(g, p.token()) == REFUSED
                assert g.act().status == 200
            p.act = "ok"
            p.release.set()
            until_taken(g, p.token())
            p.release.clear()
            p.act = "hang"
            assert act(g, p.token(header={"kid": "new"})) == REFUSED
            until(lambda: p.n_asked("openid-configuration") >= 2, "it hangs again")
        # Leaving the block stops the gateway while the fetch hangs: it ends, and with status 0.


def test_reload_keeps_the_keys():
    with Provider() as p, gateway(p) as g:
        token = p.token()
        until_taken(g, token)
        p.stop()
        reloaded = g.read_log().count("reloaded: ")
        g.signal(signal.SIGHUP)
        until(lambda: g.read_log().count("reloaded: ") > reloaded, "the reload")
        assert takes(g, token)
        g.place.write_config({**options(p, {"audience": "another"}), "gateway": json.loads(
            (g.place.dir / "nomos.json").read_text())["gateway"]})
        g.signal(signal.SIGHUP)
        until(lambda: act(g, token) == REFUSED, "the rules are other ones")


def test_a_key_file_needs_no_provider():
    with Provider() as p:
        key, next_key = p.keys[0], p.new_key(kid="k2")
        p.stop()
        section = {"public_key_path": "issuer.pem", "issuer": "https://id.example"}
        with Gateway(config(identity={"oidc": {"enabled": True, "audience": "nomos", "issuer": "https://id.example"}})) as g:
            # Without a file the keys would be fetched.
            assert act(g, p.token(iss="https://id.example")) == REFUSED
            (g.place.dir / "issuer.pem").write_bytes(key.public_pem())
            g.place.write_config(options(p, section))
            g.signal(signal.SIGHUP)
            until_taken(g, p.token(iss="https://id.example"))
            (g.place.dir / "issuer.pem").write_text(json.dumps({"keys": [next_key.jwk()]}))
            g.signal(signal.SIGHUP)
            until_taken(g, p.token(next_key, iss="https://id.example"))
            assert act(g, p.token(key, iss="https://id.example")) == REFUSED
            (g.place.dir / "issuer.pem").write_text("nothing of the kind")
            g.signal(signal.SIGHUP)
            until(lambda: "reload refused" in g.read_log(), "a file without a key")
            assert takes(g, p.token(next_key, iss="https://id.example"))


def decide(g, approval, token, path="/approvals/decide", headers=None):
    body = json.dumps({"approval_id": approval, "decision": "approve"}).encode()
    return g.request("POST", path, body, {"Content-Type": "application/json", **(headers or {"Authorization": f"Bearer {token}"})})


GROUPED = {"version": "v1", "rules": [
    {"id": "ask", "action_type": "payments.transfer", "resource": "payment://bank.example.com/**", "decision": "REQUIRE_APPROVAL",
     "obligations": {"approvers": {"groups": ["treasury"]}}}]}


def test_groups_decide():
    section = {"roles": {"approver": ["approvers"], "viewer": ["staff"]}}
    with Provider() as p, gateway(p, section, GROUPED, approvals={"enabled": True}, identity={"roles": {}}) as g:
        def ask(n):
            r = g.act(action("payments.transfer", "payment://bank.example.com/1", {"n": n}))
            assert r.json["decision"] == "REQUIRE_APPROVAL", r
            return r.json["approval_id"]

        until(lambda: g.get("/api/ui/overview", {"Authorization": f"Bearer {p.token(groups=['staff'])}"}).status == 200, "a viewer")
        first = ask(1)
        for groups, why in ((["treasury"], "not an approval reviewer"), (["approvers"], "names other approvers"),
                            (["approvers", "Treasury"], "names other approvers")):
            r = decide(g, first, p.token(groups=groups))
            assert r.status == 403 and why in r.json["reason"], (groups, r)
        r = g.get(f"/api/ui/approvals/{first}", {"Authorization": f"Bearer {p.token(groups=['approvers'])}"})
        assert r.json["can_decide"] is False and "other approvers" in r.json["why_not"], r
        able = p.token(groups=["approvers", "treasury"], sub="tess")
        r = g.get(f"/api/ui/approvals/{first}", {"Authorization": f"Bearer {able}"})
        assert r.json["can_decide"] is True, r
        assert decide(g, first, able).status == 200
        [decided] = [r for r in g.records() if r["event_type"] == "approval.decided"]
        assert decided["approver"] == "tess", decided
        # The same by a session that a token began.
        second = ask(2)
        signed_in = g.request("POST", "/api/ui/session", json.dumps({"api_key": able}).encode(), {"Content-Type": "application/json"})
        assert signed_in.status == 200 and signed_in.json["roles"] == ["viewer", "approver"], signed_in
        own = {"Cookie": signed_in.headers["Set-Cookie"].split(";")[0], "Origin": f"http://{g.address[0]}:{g.address[1]}",
               "Sec-Fetch-Site": "same-origin", "X-Nomos-Csrf": signed_in.json["csrf_token"]}
        assert decide(g, second, None, "/api/ui/approvals/decide", own).status == 200
        # An API key is in no group.
        assert decide(g, ask(3), OPERATOR_KEY).status == 403


def test_a_session_ends_with_its_token_and_its_key():
    with Provider() as p, gateway(p, {"roles": {"viewer": ["staff"]}, "refresh_seconds": 1}) as g:
        until_taken(g, p.token())
        now = p.claims()["iat"] + 5
        short = p.token(groups=["staff"], exp=now + 4)
        long = p.token(groups=["staff"], exp=now + 600)
        cookies = []
        for token in (short, long):
            r = g.request("POST", "/api/ui/session", json.dumps({"api_key": token}).encode(), {"Content-Type": "application/json"})
            assert r.status == 200, r
            cookies.append({"Cookie": r.headers["Set-Cookie"].split(";")[0]})
        until(lambda: g.get("/api/ui/session", cookies[0]).status == 401, "the token ends")
        assert g.get("/api/ui/session", cookies[1]).status == 200
        p.keys = [p.new_key(kid="k2")]
        until(lambda: g.get("/api/ui/session", cookies[1]).status == 401, "the key is withdrawn")


def test_api_keys_and_tokens_stand_beside_each_other():
    """A wrong token is not made good by anything, a good one needs no API key; agents still sign."""
    with Provider() as p, gateway(p, identity={"api_keys": {API_KEY: "alice"}}) as g:
        until_taken(g, p.token())
        raw = json.dumps(action()).encode()
        unsigned = {"Authorization": f"Bearer {p.token()}", "Content-Type": "application/json", "X-Nomos-Agent-Id": "bot"}
        r = g.request("POST", "/action", raw, unsigned)
        assert r.status == 401 and "agent authentication failed" in r.json["reason"], r
        cookie = {"Authorization": f"Bearer {p.token(aud='x')}", "Cookie": "nomos_session=" + "0" * 64}
        assert g.get("/api/ui/overview", cookie).status == 401
        assert principals(g)[-1] == "uma"


def test_configurations_that_are_refused():
    with Provider() as p, Gateway(options(p)) as g:
        for change, why in (({"issuer": ""}, "identity.oidc.issuer and identity.oidc.audience are required"),
                            ({"audience": ""}, "identity.oidc.issuer and identity.oidc.audience are required"),
                            ({"issuer": "http://id.example"}, "is not https"),
                            ({"issuer": "http://127.0.0.1.evil.example/"}, "is not https"),
                            ({"jwks_uri": "http://id.example/keys"}, "is not https"),
                            ({"jwks_uri": "https://id.example/keys", "public_key_path": "x.pem"}, "mutually exclusive"),
                            ({"roles": {"boss": ["x"]}}, "is no role"),
                            ({"public_key_path": "absent.pem"}, "identity.oidc.public_key_path"),
                            ({"refresh_seconds": 100, "max_stale_seconds": 99}, "is over max_stale_seconds"),
                            ({"max_stale_seconds": 86401}, "max_stale_seconds"),
                            ({"unknown": 1}, "unknown")):
            g.place.write_config(options(p, change))
            before = g.read_log().count("reload refused")
            g.signal(signal.SIGHUP)
            until(lambda before=before: g.read_log().count("reload refused") > before, change)
            assert why in g.read_log().split("reload refused")[-1], (change, g.read_log()[-500:])


def test_doctor_asks_only_when_it_is_asked_to():
    def report(place, *args):
        done = place.run("doctor", "-c", "nomos.json", "--format", "json", *args)
        [check] = [c for c in json.loads(done.stdout)["checks"] if c["id"] == "identity.token_keys"]
        return check["status"], json.dumps(check)

    with Provider() as p:
        place = Workplace(options(p, identity={"api_keys": {}}))
        try:
            status, text = report(place)
            assert status == "PASS" and not p.asked, text
            status, text = report(place, "--deep")
            assert status == "PASS" and "1 keys from the issuer" in text and p.n_asked() == 1, text
            p.act = "other-issuer"
            status, text = report(place, "--deep")
            assert status == "FAIL" and "another issuer" in text, text
            done = place.run("doctor", "-c", "nomos.json", "--format", "json")
            [mode] = [c for c in json.loads(done.stdout)["checks"] if c["id"] == "identity.auth_mode_valid"]
            assert mode["status"] == "PASS", "tokens are enough"
        finally:
            place.remove()


def test_keys_are_fetched_over_tls_from_whom_the_ca_knows():
    """The issuer's certificate is checked: its CA, its name, its time, its use. Without keys every token is refused as any other."""
    with authority() as ca:
        other = Authority(ca.dir.parent / "other", "Other CA")
        good = ca.issue("good")
        bad = {"another CA": (other.issue("other"), "localhost"), "signed by itself": ((other.cert, other.dir / "ca.key"), "localhost"),
               "another name": (ca.issue("name", "DNS:issuer.example.com"), "localhost"), "a name for an address": (ca.issue("dns", "DNS:localhost"), "127.0.0.1"),
               "expired": (ca.issue("expired", begins=-7200, ends=-3600), "localhost"), "for clients": (ca.issue("use", use="clientAuth"), "localhost")}
        for host in ("localhost", "127.0.0.1"):
            with Provider(good, host) as p, gateway(p, {"ca_file": str(ca.cert)}) as g:
                until_taken(g, p.token())
        # The system's CAs do not know this one.
        bad["no ca_file"] = (good, "localhost")
        for why, (pair, host) in bad.items():
            with Provider(pair, host) as p, gateway(p, {} if why == "no ca_file" else {"ca_file": str(ca.cert)}) as g:
                assert act(g, p.token()) == REFUSED, why
                until(lambda g=g: value(metrics(g)[1], "nomos_token_key_fetch_failures_total") > 0, "the fetch has failed")
                assert act(g, p.token()) == REFUSED, why
                assert not p.asked, (why, p.asked)
