# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Two replicas behind nginx, HAProxy and Envoy, with the files of configs/balancers: one drains under load and no request fails; the client is
known; what is not for clients does not get through."""
import hashlib
import http.client
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile

from balancers import Balancer, Load, find, free_port
from certificates import Authority
from support import LONG, PATIENCE, ROOT, Gateway, action, config, have, until
import support

# What configs/load-balancer.yaml has is 5; less is enough for each: nginx keeps an idle connection for 3 s, HAProxy and Envoy see a draining one in 2 s.
DELAYS = {"nginx": 4, "haproxy": 3, "envoy": 4}


def need(kind):
    if find(kind) is None:
        raise support.Skip(f"{kind} is not installed")


def replica(delay=0, **gateway):
    return Gateway(config(gateway={"shutdown_delay_seconds": delay, "shutdown_grace_seconds": 30, "trusted_proxies": ["127.0.0.1"], **gateway}))


def drain_one_under_load(kind):
    need(kind)
    with tempfile.TemporaryDirectory(prefix="nomos-balancer-") as folder, replica(DELAYS[kind]) as one, replica() as two:
        at = ["%s:%d" % g.address for g in (one, two)]
        with Balancer(kind, pathlib.Path(folder) / "b", at) as balancer, Load(balancer.connect) as load:
            load.wait_for(200, "both serve")
            one.signal(signal.SIGTERM)
            load.wait_for(50, "while it drains")
            assert one.process.wait(PATIENCE + DELAYS[kind]) == 0
            load.wait_for(200, "the other one serves alone")
            two_alone = two.operator("GET", "/api/ui/overview").status
        assert load.failures == [], (len(load.failures), load.n_done, load.failures[:5], balancer.read_log()[-2000:])
        assert two_alone == 200
        n_one, n_two = (len([r for r in g.records() if r.get("action_type")]) for g in (one, two))
        assert n_one > 50 and n_two > 50 and load.n_done > 450, (n_one, n_two, load.n_done)
        print(f"      {kind}: {load.n_done} requests, {n_one} records of the one that ended, {n_two} of the other")


def test_one_of_two_drains_behind_nginx():
    drain_one_under_load("nginx")


def test_one_of_two_drains_behind_haproxy():
    drain_one_under_load("haproxy")


def test_one_of_two_drains_behind_envoy():
    drain_one_under_load("envoy")


def test_a_rolling_restart_of_both():
    """Each in turn, and it comes back on the same address."""
    kind = "haproxy"
    if not have(kind):
        raise support.Skip("haproxy is not installed")
    if not LONG:
        return
    ports = [free_port(), free_port()]
    gateways = [replica(DELAYS[kind], listen=f"127.0.0.1:{p}") for p in ports]
    with tempfile.TemporaryDirectory(prefix="nomos-balancer-") as folder:
        try:
            with Balancer(kind, pathlib.Path(folder) / "b", [f"127.0.0.1:{p}" for p in ports]) as balancer, Load(balancer.connect) as load:
                for i in range(2):
                    load.wait_for(100, "both serve")
                    assert gateways[i].stop() == 0
                    place = gateways[i].place
                    gateways[i] = Gateway(workplace=place)
                    until(lambda g=gateways[i]: len([r for r in g.records() if r["event_type"] == "runtime.start"]) == 2, "it runs again")
                    load.wait_for(300, "it is used again")
            assert load.failures == [], (len(load.failures), load.failures[:5])
        finally:
            for g in gateways:
                g.kill()
                g.place.remove()


def sign_in(connection, headers):
    """A sign-in with a wrong key: limited for each client, so its status shows whom the gateway takes for the client."""
    try:
        connection.request("POST", "/api/ui/session", b'{"api_key":"wrong"}', {
            "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", **headers})
        r = connection.getresponse()
        r.read()
        return r.status
    finally:
        connection.close()


def addresses_of_clients(gateway):
    found = []
    for line in gateway.read_log().splitlines():
        message = json.loads(line)["msg"]
        if "a sign-in on the operator page failed, from " in message:
            found.append(message.split("from ", 1)[1].split()[0])
    return found


def the_client_is_known(kind):
    need(kind)
    with tempfile.TemporaryDirectory(prefix="nomos-balancer-") as folder, replica() as g:
        at = "%s:%d" % g.address
        # The proxy is 127.0.0.1, and so is the client; both are, and the one that the proxy names counts.
        with Balancer(kind, pathlib.Path(folder) / "b", [at, at]) as balancer:
            lie = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Forwarded-Proto": "http"}
            assert sign_in(balancer.connect(), lie) == 401
            until(lambda: addresses_of_clients(g), "the failure is in the log")
            assert addresses_of_clients(g) == ["127.0.0.1"], addresses_of_clients(g)
            for path in ("/readyz", "/metrics", "/admin/reload"):
                assert balancer.get(path) == 404, (kind, path)
            assert balancer.get("/version") == 200


def test_the_client_is_known_behind_a_balancer_and_cannot_say_another():
    for kind in ("nginx", "haproxy"):
        the_client_is_known(kind)


def test_the_client_is_known_behind_envoy():
    the_client_is_known("envoy")


def addresses(gateway):
    """Of the listeners, in their order."""
    return [json.loads(line)["msg"].split()[2].split("://")[1] for line in gateway.read_log().splitlines() if "listening on" in line]


def proxy_protocol(kind):
    need(kind)
    rows = [{"name": "plain", "listen": "127.0.0.1:0"}, {"name": "behind", "listen": "127.0.0.1:0", "proxy_protocol": True}]
    with tempfile.TemporaryDirectory(prefix="nomos-balancer-") as folder, replica(listeners=rows) as g:
        at = addresses(g)
        with Balancer(kind, pathlib.Path(folder) / "b", [at[0], at[0]], [at[1], at[1]]) as balancer:
            def connect():
                return http.client.HTTPConnection("127.0.0.1", balancer.stream_port, timeout=PATIENCE)

            with Load(connect, 2) as load:
                load.wait_for(40, "actions by the PROXY protocol")
            assert load.failures == [], load.failures[:3]
            assert sign_in(connect(), {"X-Forwarded-For": "10.1.1.1"}) == 401
        # Without the header nobody gets through, and the checks of the balancer carry it as well.
        assert "closed a connection" not in g.read_log(), g.read_log()[-2000:]


def test_proxy_protocol_of_haproxy():
    proxy_protocol("haproxy")


def test_proxy_protocol_of_envoy():
    proxy_protocol("envoy")


def tls_on_both_sides(kind):
    need(kind)
    with tempfile.TemporaryDirectory(prefix="nomos-balancer-") as folder:
        folder = pathlib.Path(folder)
        ca = Authority(folder / "ca")
        cert, key = ca.issue("gateway", names="DNS:gateway.example.com")
        other = Authority(folder / "other", name="Another CA")
        other_name, other_key = ca.issue("else", names="DNS:else.example.com")
        # The balancer shows a certificate to the gateways, which ask for one; HAProxy has it and its key in one file.
        client = ca.issue("balancer", names="DNS:balancer.example.com", use="clientAuth")
        if kind == "haproxy":
            client[0].write_text(client[0].read_text() + client[1].read_text())
        tls = {"enabled": True, "cert_file": str(cert), "key_file": str(key), "client_ca_file": str(ca.cert), "require_mtls": True}
        with replica(tls=tls) as one, replica(tls=tls) as two:
            at = ["%s:%d" % g.address for g in (one, two)]
            with Balancer(kind, folder / "b", at, ca=ca.cert, client=client) as balancer, Load(balancer.connect, 4) as load:
                load.wait_for(100, "both serve by TLS")
            assert load.failures == [], (len(load.failures), load.n_done, load.failures[:5], balancer.read_log()[-2000:])
            # A gateway that is not known as one gets no request.
            with Balancer(kind, folder / "c", [at[1], at[1]], ca=other.cert, client=client, is_good=False):
                pass
        with replica(tls={**tls, "cert_file": str(other_name), "key_file": str(other_key)}) as g:
            at = "%s:%d" % g.address
            with Balancer(kind, folder / "d", [at, at], ca=ca.cert, client=client, is_good=False):
                pass


def test_tls_on_both_sides_of_nginx():
    tls_on_both_sides("nginx")


def test_tls_on_both_sides_of_haproxy():
    tls_on_both_sides("haproxy")


def test_tls_on_both_sides_of_envoy():
    tls_on_both_sides("envoy")


def test_files_parse():
    """Envoy's too where nothing runs it: it is YAML, and the times keep the rule."""
    text = (ROOT / "configs/balancers/envoy.yaml").read_text()
    if have("yamllint"):
        done = subprocess.run(["yamllint", "-d", "{extends: relaxed, rules: {line-length: disable}}", "configs/balancers/envoy.yaml"], cwd=ROOT,
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode()
    assert "shutdown_delay_seconds: 5" in (ROOT / "configs/load-balancer.yaml").read_text()
    nginx = (ROOT / "configs/balancers/nginx.conf").read_text()
    assert "keepalive_timeout 3s" in nginx and "idle_timeout: 3s" in text, "idle connections end here before the gateway ends them"


def proxy_header_before_tls(kind):
    """A balancer that passes TLS on and says who its client is: server name, client certificate and address all reach the gateway."""
    need(kind)
    key = "nk_edge_" + 64 * "a"
    with tempfile.TemporaryDirectory(prefix="nomos-balancer-") as folder:
        folder = pathlib.Path(folder)
        ca = Authority(folder / "ca")
        usual, named = ca.issue("usual", names="DNS:usual.example.com"), ca.issue("named", names="DNS:named.example.com")
        client = ca.issue("client", names="URI:spiffe://example.org/agents/billing", use="clientAuth")
        tls = {"enabled": True, "cert_file": str(usual[0]), "key_file": str(usual[1]), "client_ca_file": str(ca.cert),
               "certificates": [{"cert_file": str(named[0]), "key_file": str(named[1])}]}
        options = config(gateway={
            "trusted_proxies": ["127.0.0.1"], "tls": tls, "listeners": [
                {"name": "plain", "listen": "127.0.0.1:0", "tls": "off"}, {"name": "behind", "listen": "127.0.0.1:0", "proxy_protocol": True}]})
        options["identity"]["spiffe"] = {"enabled": True, "trust_domain": "example.org", "principals": {"/agents/billing": "billing"}}
        options["identity"]["principal_agents"] = {"billing": ["bot"], "alice": ["bot"]}
        options["identity"]["hashed_keys"] = [
            {"id": "edge", "principal": "alice", "hash": "sha256:" + hashlib.sha256(key.encode()).hexdigest(), "networks": ["127.0.0.2/32"]}]

        def check_with_tls(text):
            if kind == "haproxy":
                return text.replace("send-proxy-v2 check-send-proxy", f"send-proxy-v2 check-send-proxy check-ssl verify required ca-file {ca.cert} "
                                    "check-sni usual.example.com verifyhost usual.example.com")
            return text

        with Gateway(options) as g:
            at = addresses(g)
            with Balancer(kind, folder / "b", [at[0], at[0]], [at[1], at[1]], change=check_with_tls) as balancer:
                def speak(name, source="127.0.0.1", certificate=None, headers=None):
                    context = ssl.create_default_context(cafile=ca.cert)
                    if certificate:
                        context.load_cert_chain(*certificate)
                    body = json.dumps(action()).encode()
                    lines = {"Content-Type": "application/json", **g.auth(body, **(headers or {}))}
                    if certificate:
                        del lines["Authorization"]
                    with socket.create_connection(("127.0.0.1", balancer.stream_port), PATIENCE, source_address=(source, 0)) as raw, \
                            context.wrap_socket(raw, server_hostname=name) as s:
                        shown = dict(pair for row in s.getpeercert()["subject"] for pair in row)["commonName"]
                        c = http.client.HTTPConnection(name)
                        c.sock = s
                        c.request("POST", "/action", body, lines)
                        return c.getresponse().status, shown

                until(lambda: is_served(lambda: speak("usual.example.com")), "the checks have found the gateway")
                assert speak("usual.example.com") == (200, "usual")
                assert speak("named.example.com") == (200, "named")
                # A key that is known from one address alone: that of the client.
                assert speak("usual.example.com", headers={"key": key})[0] == 401
                assert speak("usual.example.com", "127.0.0.2", headers={"key": key})[0] == 200
                assert speak("usual.example.com", certificate=client)[0] == 200
                who = [r["principal"] for r in g.records() if r.get("action_type")]
                assert set(who) == {"alice", "billing"}, who


def is_served(speak):
    try:
        return speak()[0] == 200
    except OSError:
        return False


def test_proxy_header_of_haproxy_before_tls():
    proxy_header_before_tls("haproxy")
