# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Where the gateway listens: several listeners with roles, unix sockets, sockets of a service manager, the PROXY protocol; and whom it believes
what is said of a client."""
import hashlib
import http.client
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading

from service_manager import starter
from support import BIN, PATIENCE, Gateway, Reply, Workplace, action, config, until

ROUTES = {"api": "/approvals/x", "ui": "/ui/", "admin": "/admin/reload", "health": "/healthz"}
METHODS = {"admin": "POST"}


def listeners(*rows, **gateway):
    return config(gateway={"listeners": list(rows), **gateway})


def addresses(gateway):
    """{name: address} of what the log says, once it names every listener of the configuration."""
    rows = json.loads((gateway.place.dir / "nomos.json").read_text())["gateway"].get("listeners", [])

    def named():
        found = {}
        for line in gateway.read_log().splitlines():
            text = json.loads(line)["msg"]
            if text.startswith("listening on "):
                found[text.split("listener ", 1)[1].split(",")[0]] = text.split()[2].removeprefix("http://")
        return found if found.keys() >= {row["name"] for row in rows} else None

    return until(named, "every listener is named")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)


def connect(address):
    if address.startswith("unix:"):
        return UnixConnection(address.removeprefix("unix:"))
    return http.client.HTTPConnection(address, timeout=PATIENCE)


def ask(address, method, path, headers=None):
    c = connect(address)
    try:
        c.request(method, path, headers=headers or {})
        r = c.getresponse()
        return Reply(r.status, r.headers, r.read())
    finally:
        c.close()


def test_each_listener_answers_for_its_roles_alone():
    rows = [{"name": "all", "listen": "127.0.0.1:0"}] + \
        [{"name": role, "listen": "127.0.0.1:0", "roles": [role]} for role in ROUTES] + \
        [{"name": "two", "listen": "[::1]:0", "roles": ["health", "ui"]}]
    with Gateway(listeners(*rows)) as g:
        at = addresses(g)
        assert sorted(at) == sorted(row["name"] for row in rows), at
        for row in rows:
            served = row.get("roles", list(ROUTES))
            for role, path in ROUTES.items():
                r = ask(at[row["name"]], METHODS.get(role, "GET"), path)
                assert (r.status != 404) == (role in served), (row, role, r)
                if role not in served:
                    # As if there were none: no other method is offered.
                    other = ask(at[row["name"]], "PUT", path)
                    assert other.status == 404 and other.body == r.body, (row, role, other)
                    assert ask(at[row["name"]], "OPTIONS", path).status == 404
        allow = ask(at["health"], "OPTIONS", "*").headers["Allow"]
        assert "POST" not in allow and "GET" in allow, allow
        # An action that comes to a listener without the role is not looked at, though it is signed.
        body = json.dumps(action()).encode()
        g.address = tuple(at["ui"].split(":"))
        assert g.post("/action", body).status == 404
        g.address = tuple(at["api"].split(":"))
        assert g.post("/action", body).json["decision"] == "ALLOW"


def test_one_that_cannot_listen_is_named_and_nothing_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = Workplace(listeners({"name": "one", "listen": "127.0.0.1:0"},
                                    {"name": "front", "listen": f"127.0.0.1:{taken.getsockname()[1]}"}))
        try:
            text = place.run("serve", "-c", "nomos.json", check=1).stderr.decode()
            assert "front" in text and "in use" in text and "listening on" not in text, text
            report = place.run("doctor", "-c", "nomos.json").stdout.decode()
            assert "front" in report and "in use" in report, report
        finally:
            place.remove()


def test_what_is_wrong_with_listeners_is_said():
    ok = {"name": "a", "listen": "127.0.0.1:0"}
    for rows, why in (
            ([ok, {"name": "a", "listen": "127.0.0.1:0"}], "two are named a"),
            ([{"name": "a", "listen": "127.0.0.1:81"}, {"name": "b", "listen": "127.0.0.1:81"}], "a and b have the same address"),
            ([{"name": "a:b", "listen": "127.0.0.1:0"}], "letters"),
            ([{"name": "a", "listen": "localhost"}], "not an address"),
            ([{"name": "a", "listen": "127.0.0.1:0", "roles": ["root"]}], "root"),
            ([{"name": "a", "listen": "127.0.0.1:0", "mode": "0600"}], "only a unix socket"),
            ([{"name": "a", "listen": "unix:/tmp/x", "mode": "0800"}], "0777"),
            ([{"name": "a", "listen": "127.0.0.1:0", "proxy_protocol": True}], "trusted_proxies"),
            ([dict(ok, name=f"n{i}") for i in range(17)], "16")):
        place = Workplace(listeners(*rows))
        try:
            text = place.run("config", "check", "-c", "nomos.json", check=1)
            assert why in (text.stderr + text.stdout).decode(), (why, text)
        finally:
            place.remove()


def test_listeners_are_restart_only():
    with Gateway() as g:
        g.place.write_config(listeners({"name": "a", "listen": "127.0.0.1:0"}))
        r = g.operator("POST", "/admin/reload")
        assert r.status == 400 and "gateway.listeners" in g.read_log(), r
        # Said beforehand, too, of each key that is about where and how it listens.
        before = g.place.dir / "before.json"
        before.write_text(json.dumps(config()))
        certificates = {"enabled": True, "cert_file": "/x.pem", "key_file": "/x.key", "client_ca_file": "/ca.pem", "client_crl_file": "/crl.pem"}
        g.place.write_config(listeners({"name": "a", "listen": "127.0.0.1:0"}, trusted_proxies=["10.0.0.1"], tls=certificates))
        text = g.place.run("config", "diff", str(before), "nomos.json", check=1).stdout.decode()
        for key in ("gateway.listeners", "gateway.trusted_proxies", *(f"gateway.tls.{name}" for name in certificates)):
            [line] = [line for line in text.splitlines() if line.startswith(key + ":")]
            assert "needs a restart" in line, line


def unix_gateway(folder, **row):
    path = pathlib.Path(folder) / "nomos.sock"
    return path, listeners({"name": "local", "listen": f"unix:{path}", **row}, {"name": "tcp", "listen": "127.0.0.1:0"})


def test_unix_socket():
    place = Workplace()
    path, options = unix_gateway(place.dir, mode="0660")
    place.write_config(options)
    try:
        with Gateway(workplace=place) as g:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert addresses(g)["local"] == f"unix:{path}"
            for _ in range(20):
                assert ask(f"unix:{path}", "GET", "/healthz").body.strip() == b"ok"
            body = json.dumps(action()).encode()
            assert g.post("/action", body, connection=UnixConnection(path)).json["decision"] == "ALLOW"
            # All workers take from it, also when many come at once.
            done = []
            threads = [threading.Thread(target=lambda: done.append(ask(f"unix:{path}", "GET", "/readyz").status)) for _ in range(40)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert done == [200] * 40, done
        assert not path.exists(), "removed at the end"
        # One that was left behind is replaced.
        with Gateway(workplace=place, expect_exit=None) as g:
            g.kill()
        assert path.exists()
        with Gateway(workplace=place):
            assert ask(f"unix:{path}", "GET", "/healthz").status == 200
            report = place.run("doctor", "-c", "nomos.json").stdout.decode()
            assert "[PASS] listening address" in report, report
    finally:
        place.remove()


def test_unix_path_that_is_no_socket_stays():
    place = Workplace()
    path, options = unix_gateway(place.dir)
    place.write_config(options)
    try:
        target = place.dir / "precious"
        target.write_text("precious")
        for make in (lambda: path.write_text("x"), lambda: path.symlink_to(target), path.mkdir):
            make()
            text = place.run("serve", "-c", "nomos.json", check=1).stderr.decode()
            assert "is no socket" in text and "local" in text, text
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        assert target.read_text() == "precious"
    finally:
        place.remove()


def test_second_gateway_on_a_unix_socket_is_told():
    place, other = Workplace(), Workplace()
    path, options = unix_gateway(place.dir)
    place.write_config(options)
    other.write_config(options)
    try:
        with Gateway(workplace=place):
            text = other.run("serve", "-c", "nomos.json", check=1).stderr.decode()
            assert "in use" in text, text
            assert ask(f"unix:{path}", "GET", "/healthz").status == 200
    finally:
        place.remove()
        other.remove()


def test_the_owner_of_a_unix_socket():
    place = Workplace()
    path, options = unix_gateway(place.dir)
    # Root gives it away; everybody else may only keep it.
    owner, group = ("nobody", "nogroup") if os.geteuid() == 0 else (str(os.geteuid()), str(os.getegid()))
    row = options["gateway"]["listeners"][0]
    row.update(mode="0640", owner=owner, group=group)
    place.write_config(options)
    try:
        with Gateway(workplace=place):
            st = path.stat()
            want = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
            assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (*want, 0o640), st
        assert not path.exists(), "removed at the end"
        for names, why in (({"owner": "no-such-user"}, "no user no-such-user"), ({"owner": "", "group": "no-such-group"}, "no group no-such-group")):
            row.update(names)
            place.write_config(options)
            text = place.run("serve", "-c", "nomos.json", check=1).stderr.decode()
            assert why in text and not path.exists(), text
        if os.geteuid() != 0:
            row.update(owner="0", group="")
            place.write_config(options)
            assert "permission" in place.run("serve", "-c", "nomos.json", check=1).stderr.decode()
            assert not path.exists()
    finally:
        place.remove()


def test_one_of_many_gateways_that_start_at_once_on_one_path():
    """All find the same file left behind: one replaces it and is reached there, the others are told and remove nothing."""
    folder = Workplace()
    path, _ = unix_gateway(folder.dir)
    places = [Workplace() for _ in range(4)]
    for place in places:
        place.write_config(unix_gateway(folder.dir)[1])
    try:
        for _ in range(3):
            if not path.exists():
                left = socket.socket(socket.AF_UNIX)
                left.bind(str(path))
                left.close()
            started = [subprocess.Popen([BIN, "serve", "-c", "nomos.json"], cwd=place.dir, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
                       for place in places]
            try:
                until(lambda s=started: sum(p.poll() is not None for p in s) == len(s) - 1, "all but one have ended")
                [winner] = [p for p in started if p.poll() is None]
                for p in started:
                    if p is not winner:
                        assert p.returncode == 1 and b"in use" in p.stderr.read(), p.returncode
                until(lambda: is_served(path), "the one that won is reached")
                winner.terminate()
                assert winner.wait(PATIENCE) == 0
            finally:
                for p in started:
                    p.kill()
                    p.wait()
                    p.stderr.close()
            assert not path.exists()
    finally:
        for place in [folder, *places]:
            place.remove()


def is_served(path):
    try:
        return ask(f"unix:{path}", "GET", "/healthz").status == 200
    except OSError:
        return False


def test_unix_clients_in_the_queue_are_served_at_the_end():
    place = Workplace()
    path, options = unix_gateway(place.dir)
    place.write_config(options)
    try:
        with Gateway(workplace=place) as g:
            # The process stands while they come, and finds the signal and them at once.
            g.signal(signal.SIGSTOP)
            waiting = []
            for _ in range(8):
                c = UnixConnection(path)
                c.request("GET", "/version")
                waiting.append(c)
            g.signal(signal.SIGTERM)
            g.signal(signal.SIGCONT)
            assert [c.getresponse().status for c in waiting] == [200] * 8
            assert g.process.wait(PATIENCE) == 0
    finally:
        place.remove()


def listening_socket():
    s = socket.create_server(("127.0.0.1", 0))
    return s, "127.0.0.1:%d" % s.getsockname()[1]


def inherit(options, sockets, names, **kwargs):
    return Gateway(options, prefix=starter(sockets), pass_fds=[s.fileno() for s in sockets],
                   env={"LISTEN_FDNAMES": ":".join(names)}, **kwargs)


def test_sockets_of_a_service_manager():
    one, at_one = listening_socket()
    two, at_two = listening_socket()
    local = socket.socket(socket.AF_UNIX)
    place = Workplace()
    path = place.dir / "given.sock"
    local.bind(str(path))
    local.listen()
    place.write_config(listeners({"name": "api", "listen": "systemd", "roles": ["api"]},
                                 {"name": "probe", "listen": "systemd:health", "roles": ["health"]},
                                 {"name": "local", "listen": "systemd"},
                                 {"name": "own", "listen": "127.0.0.1:0"}))
    try:
        # The one who comes before it runs waits in the queue.
        early = http.client.HTTPConnection(at_two, timeout=PATIENCE)
        early.request("GET", "/healthz")
        with inherit(None, [one, two, local], ["api", "health", "local"], workplace=place) as g:
            assert early.getresponse().status == 200
            at = addresses(g)
            assert at["api"] == at_one and at["probe"] == at_two and at["local"] == f"unix:{path}", at
            assert ask(at_one, "GET", "/healthz").status == 404
            assert ask(f"unix:{path}", "GET", "/healthz").status == 200
        # It is not ours to remove.
        assert path.exists()
        # And goes on to queue for the next one.
        early = http.client.HTTPConnection(at_two, timeout=PATIENCE)
        early.request("GET", "/healthz")
        with inherit(None, [one, two, local], ["api", "health", "local"], workplace=place):
            assert early.getresponse().status == 200
    finally:
        place.remove()
        for s in (one, two, local):
            s.close()


def test_one_socket_of_a_service_manager_needs_no_name():
    s, at = listening_socket()
    with s, inherit(config(gateway={"listen": "systemd"}), [s], ["nomos.socket"]) as g:
        assert g.address[1] == s.getsockname()[1]
        assert ask(at, "GET", "/healthz").status == 200


def test_sockets_that_do_not_fit_are_refused():
    one, _ = listening_socket()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with one, udp:
        for options, sockets, names, why in (
                (config(gateway={"listen": "systemd"}), [], [], "has given 0 sockets"),
                (config(), [one], ["api"], "is no listener's"),
                (config(gateway={"listen": "systemd"}), [udp], ["api"], "not a listening stream socket"),
                (listeners({"name": "ui", "listen": "systemd"}), [one], ["api"], "named ui")):
            place = Workplace(options)
            try:
                env = {"LISTEN_FDNAMES": ":".join(names)}
                g = None
                try:
                    g = Gateway(workplace=place, prefix=starter(sockets), pass_fds=[s.fileno() for s in sockets], env=env, expect_exit=None)
                except AssertionError as e:
                    assert why in str(e), (why, e)
                assert g is None, f"it started, though: {why}"
            finally:
                place.remove()


def raw(address, data):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as s:
        got = b""
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while part := s.recv(65536):
                got += part
        except OSError:  # closed with bytes that nobody read
            pass
        return got


PROXY_V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 51234 443\r\n"
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc0\0\2\1\xc8\x22\x01\xbb"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def test_proxy_protocol():
    rows = [{"name": "plain", "listen": "127.0.0.1:0"}, {"name": "behind", "listen": "127.0.0.1:0", "proxy_protocol": True}]
    with Gateway(listeners(*rows, trusted_proxies=["127.0.0.1"])) as g:
        at = addresses(g)
        for header in (PROXY_V1, PROXY_V2, b"PROXY UNKNOWN\r\n"):
            assert raw(at["behind"], header + HEALTH).startswith(b"HTTP/1.1 200"), header
            assert raw(at["plain"], header + HEALTH).startswith(b"HTTP/1.1 400"), header
        assert raw(at["behind"], HEALTH) == b""
        assert raw(at["plain"], HEALTH).startswith(b"HTTP/1.1 200")
    with Gateway(listeners(*rows, trusted_proxies=["192.0.2.1"])) as g:
        at = addresses(g)
        assert raw(at["behind"], PROXY_V1 + HEALTH) == b""
        assert raw(at["behind"], HEALTH) == b""


def sign_in(gateway, address, headers, before=b""):
    """A sign-in with a wrong key: limited per client address, so it shows whom the gateway takes for the client."""
    body = b'{"api_key":"wrong"}'
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items()).encode()
    reply = raw(address, before + b"POST /api/ui/session HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nOrigin: http://h\r\n"
                b"Sec-Fetch-Site: same-origin\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s" % (len(body), lines, body))
    return int(reply.split()[1])


def is_one_client(gateway, address, make_headers, before=lambda i: b""):
    """Whether wrong keys come to the limit of one address."""
    for i in range(40):
        status = sign_in(gateway, address, make_headers(i), before(i))
        if status == 429:
            return True
        assert status == 401, status
    return False


def test_who_is_not_trusted_is_not_believed():
    def spoof(i):
        return {"X-Forwarded-For": f"192.0.2.{i}", "Forwarded": f"for=192.0.2.{i}", "X-Real-IP": f"192.0.2.{i}"}

    for proxies in ([], ["10.0.0.0/8"]):
        with Gateway(config(gateway={"trusted_proxies": proxies})) as g:
            assert is_one_client(g, "%s:%d" % g.address, spoof), "another address each time, and still one client"
    # Behind a trusted proxy it is what the client says itself that counts for nothing.
    rows = [{"name": "plain", "listen": "127.0.0.1:0"}, {"name": "behind", "listen": "127.0.0.1:0", "proxy_protocol": True}]
    with Gateway(listeners(*rows, trusted_proxies=["127.0.0.1"])) as g:
        at = addresses(g)
        assert is_one_client(g, at["plain"], lambda i: {"X-Forwarded-For": f"198.51.100.{i}, 203.0.113.7"})
        assert is_one_client(g, at["plain"], lambda i: {"Forwarded": f"for=198.51.100.{i}, for=203.0.113.8"})
        # By the PROXY protocol the client is known, and is no proxy: its lines are not read.
        assert is_one_client(g, at["behind"], spoof, lambda i: PROXY_V1)


def test_a_network_of_ipv6_signs_in_as_one_client():
    """One host may own a whole /64; and nobody pays for who has another one."""
    with Gateway(config(gateway={"trusted_proxies": ["127.0.0.1"]})) as g:
        at = "%s:%d" % g.address
        assert is_one_client(g, at, lambda i: {"X-Forwarded-For": f"2001:db8:1:2:{i}::{i}"})
        assert not is_one_client(g, at, lambda i: {"X-Forwarded-For": f"2001:db8:2:{i}::1"})


def secure_cookie(gateway, headers, connection=None):
    body = json.dumps({"api_key": "test-operator-key"}).encode()
    r = gateway.request("POST", "/api/ui/session", body, {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", **headers},
                        connection=connection)
    assert r.status == 200, r
    return "; Secure" in r.headers["Set-Cookie"]


def test_the_cookie_is_for_tls_where_a_trusted_proxy_says_so():
    with Gateway(config(gateway={"trusted_proxies": ["127.0.0.1"]})) as g:
        assert not secure_cookie(g, {})
        assert secure_cookie(g, {"X-Forwarded-Proto": "https"})
        assert not secure_cookie(g, {"X-Forwarded-Proto": "https, http"})
    with Gateway() as g:
        assert not secure_cookie(g, {"X-Forwarded-Proto": "https"})
    place = Workplace()
    path, options = unix_gateway(place.dir)
    place.write_config(options)
    try:
        with Gateway(workplace=place) as g:
            assert secure_cookie(g, {}, connection=UnixConnection(path)), "nothing but a proxy comes this way"
    finally:
        place.remove()


def test_a_key_that_is_known_from_a_network_alone():
    key = "nk_edge_" + 64 * "a"
    rows = [{"name": "plain", "listen": "127.0.0.1:0"}, {"name": "behind", "listen": "127.0.0.1:0", "proxy_protocol": True}]
    row = {"id": "edge", "principal": "alice", "hash": "sha256:" + hashlib.sha256(key.encode()).hexdigest(), "networks": ["192.0.2.0/24"]}
    body = json.dumps(action()).encode()

    def act(gateway, at, lines, before=b""):
        auth = gateway.auth(body, key=key)
        text = "".join(f"{k}: {v}\r\n" for k, v in [*auth.items(), *lines]).encode()
        reply = raw(at, before + b"POST /action HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), text, body))
        return int(reply.split()[1])

    refused = []
    for proxies, believed in ((["127.0.0.1"], True), (["10.0.0.0/8"], False)):
        options = listeners(*rows, trusted_proxies=proxies)
        options["identity"]["hashed_keys"] = [row]
        with Gateway(options) as g:
            at = addresses(g)
            want = 200 if believed else 401
            assert act(g, at["plain"], [("X-Forwarded-For", "192.0.2.7")]) == want
            assert act(g, at["plain"], [("Forwarded", "for=192.0.2.7")]) == want
            if believed:
                assert act(g, at["behind"], [], PROXY_V1) == 200
                assert act(g, at["behind"], [], PROXY_V2) == 200
                # Whom the PROXY header names is no proxy: its lines are not read.
                assert act(g, at["behind"], [("X-Forwarded-For", "203.0.113.7")], PROXY_V1) == 200
                other = PROXY_V1.replace(b"192.0.2.7", b"203.0.113.9")
                assert act(g, at["behind"], [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")], other) == 401
            # Not from there, or not known from where.
            for lines in ([], [("X-Forwarded-For", "192.0.2.7, 203.0.113.7")], [("X-Forwarded-For", "unknown")], [("Forwarded", "for=_x")],
                          [("Forwarded", 'for="')], [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=203.0.113.7")],
                          [("X-Real-IP", "192.0.2.7")], [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", "203.0.113.7")]):
                assert act(g, at["plain"], lines) == 401, (proxies, lines)
                refused.append(lines)
    assert len(refused) == 16
