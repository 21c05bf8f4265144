# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The files of the operator page over the wire: their headers, caching, compression, and paths that are no file's."""
import gzip

from support import Gateway


def test_page_is_served_with_headers_that_confine_it():
    with Gateway() as g:
        reply = g.get("/ui/")
        assert reply.status == 200 and b"<!doctype html>" in reply.body.lower(), reply
        for name, value in (("Content-Type", "text/html; charset=utf-8"), ("X-Content-Type-Options", "nosniff"),
                            ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-cache"), ("X-Frame-Options", "DENY")):
            assert reply.headers[name] == value, (name, reply.headers[name])
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy, policy
        assert "Set-Cookie" not in reply.headers
        reply = g.get("/ui")
        assert (reply.status, reply.headers["Location"]) == (307, "/ui/"), reply
        reply = g.request("POST", "/ui/index.html", b"{}")
        assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, OPTIONS"), reply


def test_caching_and_compression():
    with Gateway() as g:
        plain = g.get("/ui/index.html")
        again = g.get("/ui/index.html", {"If-None-Match": plain.headers["ETag"]})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", plain.headers["ETag"]), again
        assert again.headers["Content-Security-Policy"] and again.headers["Vary"] == "Accept-Encoding"
        packed = g.get("/ui/", {"Accept-Encoding": "br, gzip"})
        assert packed.headers["Content-Encoding"] == "gzip" and packed.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["ETag"] != plain.headers["ETag"]
        # The tag of one coding is not the other's.
        assert g.get("/ui/", {"If-None-Match": packed.headers["ETag"]}).status == 200
        head = g.request("HEAD", "/ui/")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(plain.body))), head


def test_paths_that_are_no_file():
    with Gateway() as g:
        for path, status in (("/ui/nothing.js", 404), ("/ui/a/b", 404), ("/ui//index.html", 404), ("/ui/..", 400), ("/ui/%2e%2e", 400),
                             ("/ui/%00", 400), ("/ui/%zz", 400), ("/ui/..%2findex.html", 400), ("/ui/%252e", 400),
                             ("/ui/" + "a" * 300, 400), ("/ui/%69ndex.html", 200)):
            reply = g.get(path)
            assert reply.status == status, (path, reply)
            if status != 200:
                assert reply.headers["Content-Type"] == "application/json", (path, reply)
