# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""fs.read and fs.write below the workspace: limits, redaction, escapes (nomos-policy.md 5, 9.D)."""
import os
import stat

from support import Gateway, action, config


def read(g, path, **members):
    return g.act(action("fs.read", f"file://workspace/{path}", **members))


def write(g, path, content):
    return g.act(action("fs.write", f"file://workspace/{path}", {"content": content}))


def test_read_returns_the_text_with_intent_and_outcome():
    with Gateway() as g:
        r = read(g, "README.md")
        assert r.status == 200 and r.json["output"] == "hello from the workspace\n", r
        intent, outcome = [x for x in g.records() if x["event_type"].startswith("action.")]
        assert intent["event_type"] == "action.decision" and outcome["event_type"] == "action.completed"
        assert outcome["intent_seq"] == intent["seq"] and outcome["outcome"] == "succeeded"
        assert outcome["result_classification"] == "SUCCESS"
        assert outcome["executor_metadata"]["bytes_read"] == 25


def test_read_of_exactly_the_line_limit_is_whole():
    # nomos-policy.md 9.13.
    with Gateway(config(executor={"max_output_lines": 2})) as g:
        (g.place.dir / "workspace/two").write_text("a\nb\n")
        (g.place.dir / "workspace/three").write_text("a\nb\nc\n")
        r = read(g, "two")
        assert r.json["output"] == "a\nb\n" and "truncated" not in r.json, r
        r = read(g, "three")
        assert r.json["output"] == "a\nb\n" and r.json["truncated"] is True, r


def test_read_cuts_at_a_character_and_redacts_before_cutting():
    # nomos-policy.md 9.34.
    with Gateway(config(executor={"max_output_bytes": 64})) as g:
        (g.place.dir / "workspace/wide").write_text("é" * 50)
        r = read(g, "wide")
        assert r.json["output"] == "é" * 32 and r.json["truncated"] is True, r
        key = "-----BEGIN RSA PRIVATE KEY-----\n" + "QUJDREVGR0hJSktMTU5PUA==\n" * 20 + "-----END RSA PRIVATE KEY-----\n"
        (g.place.dir / "workspace/key").write_text("x\n" + key)
        r = read(g, "key")
        assert "QUJD" not in r.json["output"] and "[REDACTED]" in r.json["output"], r


def test_every_output_within_the_limit_fits_into_the_reply():
    # In JSON a control byte takes six.
    with Gateway(config(executor={"max_output_bytes": 1048576, "max_output_lines": 1000000})) as g:
        for content in ("\x01" * 1048576, "<a>\n" * 262144):
            (g.place.dir / "workspace/large").write_text(content)
            r = read(g, "large")
            assert r.status == 200 and r.json["output"] == content, repr(r)


def test_errors_name_the_resource_and_no_host_path():
    with Gateway() as g:
        (g.place.dir / "workspace/dir").mkdir()
        os.mkfifo(g.place.dir / "workspace/fifo")
        for path in ("missing", "dir", "fifo", "dir/deeper/none"):
            r = read(g, path)
            assert r.status == 400 and r.json["reason"].startswith("execution_error: "), (path, r)
            assert str(g.place.dir) not in r.body.decode() and f"file://workspace/{path}" in r.json["reason"], r


def test_symlinks_and_hard_links_do_not_lead_around_the_policy():
    # nomos-policy.md 9.4; bypass suite symlink_escape_read, workspace_race_probe.
    with Gateway() as g:
        ws = g.place.dir / "workspace"
        (ws / ".env").write_text("SECRET=1\n")
        (ws / "out").mkdir()
        os.symlink("/etc/passwd", ws / "passwd")
        os.symlink(".env", ws / "readable")
        os.symlink("/tmp", ws / "out/tmp")
        os.link(ws / ".env", ws / "hard")
        assert read(g, ".env").json["reason"] == "deny_by_rule"
        for path in ("passwd", "readable", "hard"):
            r = read(g, path)
            assert r.status == 400 and "root:" not in r.body.decode() and "SECRET" not in r.body.decode(), (path, r)
        r = write(g, "out/tmp/escape.txt", "x")
        assert r.status == 400 and not os.path.exists("/tmp/escape.txt"), r
        os.symlink("/tmp/nomos-target", ws / "out/link")
        r = write(g, "out/link", "x")
        assert not os.path.exists("/tmp/nomos-target"), r


def test_write_is_atomic_keeps_modes_and_takes_empty_content():
    # nomos-policy.md 9.31.
    with Gateway() as g:
        ws = g.place.dir / "workspace"
        r = write(g, "out/a/b/new.txt", "hello")
        assert r.status == 200 and r.json["bytes_written"] == 5, r
        assert (ws / "out/a/b/new.txt").read_text() == "hello"
        assert stat.S_IMODE((ws / "out/a/b/new.txt").stat().st_mode) == 0o600
        (ws / "out/kept").write_text("old")
        (ws / "out/kept").chmod(0o640)
        r = write(g, "out/kept", "")
        assert r.status == 200 and r.json["decision"] == "ALLOW", r
        assert (ws / "out/kept").read_text() == "" and stat.S_IMODE((ws / "out/kept").stat().st_mode) == 0o640
        assert sorted(p.name for p in (ws / "out").iterdir()) == ["a", "kept"], "no temporary file is left"


def test_write_limits_and_params():
    with Gateway(config(executor={"max_output_bytes": 100})) as g:
        r = write(g, "out/big", "x" * 101)
        assert r.status == 400 and "content exceeds max bytes" in r.json["reason"], r
        r = g.act(action("fs.write", "file://workspace/out/a", {"content": "x", "mode": "777"}))
        assert r.status == 200 and r.json["reason"] == "invalid_params", r
        r = g.act(action("fs.write", "file://workspace/out/a", {"content": "x", "Content": "y"}))
        assert r.json["decision"] == "DENY" or r.status == 400, r
        assert not (g.place.dir / "workspace/out").exists() or not list((g.place.dir / "workspace/out").iterdir())


def test_denied_writes_do_not_touch_the_disk():
    with Gateway() as g:
        r = write(g, "README.md", "overwritten")
        assert r.json["decision"] == "DENY", r
        assert (g.place.dir / "workspace/README.md").read_text() == "hello from the workspace\n"


def test_other_schemes_are_invalid_resources():
    policy = {"version": "v1", "rules": [{"id": "any", "action_type": "*", "resource": "**", "decision": "ALLOW"}]}
    with Gateway(policy=policy) as g:
        r = g.act(action("fs.read", "url://example.com/x"))
        assert r.status == 200 and r.json["decision"] == "DENY" and r.json["reason"] == "invalid_resource", r


def test_output_obligations():
    policy = {"version": "v1", "rules": [
        {"id": "a-loose", "action_type": "fs.read", "resource": "**", "decision": "ALLOW", "obligations": {"output_max_bytes": 1000}},
        {"id": "b-strict", "action_type": "fs.read", "resource": "**", "decision": "ALLOW",
         "obligations": {"output_max_bytes": 5, "output_max_lines": 1}}]}
    with Gateway(policy=policy) as g:
        r = read(g, "README.md")
        assert r.json["output"] == "hello" and r.json["truncated"] is True, r
        assert r.json["obligations"]["output_max_bytes"] == 5, "the most restrictive value, not the first id"
