# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""nomos policy, test and config as their users run them (nomos-mcp-cli.md 1.8, 1.9)."""
import json

from support import Workplace, action, config

BUNDLE = {"version": "v1", "rules": [{"id": "r", "action_type": "fs.read", "resource": "file://workspace/**", "decision": "ALLOW"}]}
# nomos-policy.md 1.7.
BUNDLE_HASH = "0ae35c43a802becad5656e5b383cb3eb4d3d2e3f519b8efd7853fde85b53e39a"


class place:
    def __enter__(self):
        self.p = Workplace()
        (self.p.dir / "bundle.json").write_text(json.dumps(BUNDLE))
        return self.p

    def __exit__(self, *error):
        self.p.remove()


def action_file(p, resource="file://workspace/a", **members):
    body = {**action("fs.read", resource, principal="alice", agent="bot", environment="dev", context={}), **members}
    (p.dir / "action.json").write_text(json.dumps(body))


def test_policy_test_prints_one_line_and_exits_0_for_every_decision():
    with place() as p:
        for resource, decision in (("file://workspace/a", "ALLOW"), ("repo://a/b", "DENY")):
            action_file(p, resource)
            done = p.run("policy", "test", "--action", "action.json", "--bundle", "bundle.json", check=0)
            assert done.stdout.count(b"\n") == 1
            answer = json.loads(done.stdout)
            assert list(answer) == sorted(answer) and answer["decision"] == decision
            assert answer["policy_bundle_hash"] == BUNDLE_HASH
            assert done.stderr.startswith(b"[OK] ")


def test_policy_errors():
    with place() as p:
        done = p.run("policy", "test", "--action", "action.json", check=1)
        assert b"both --action and --bundle are required" in done.stderr
        action_file(p, "file://workspace/../x")
        done = p.run("policy", "explain", "--action", "action.json", "--bundle", "bundle.json", check=1)
        assert b"[ERROR] NORMALIZATION_ERROR: normalize action: file path traversal detected" in done.stderr, done
        (p.dir / "bundle.json").write_text('{"version":"v1","rules":[{"id":"x","action_typ":"*"}]}')
        action_file(p)
        done = p.run("policy", "test", "--action", "action.json", "--bundle", "bundle.json", check=1)
        assert b"[ERROR] VALIDATION_ERROR: load bundle: " in done.stderr and b"load bundle: bundle.json:1:" in done.stderr, done


def test_policy_explain():
    with place() as p:
        action_file(p, "repo://a/b")
        done = p.run("policy", "explain", "--action", "action.json", "--bundle", "bundle.json", check=0,
                     env={"NOMOS_RUNTIME_DEPLOYMENT_MODE": "ci"})
        answer = json.loads(done.stdout)
        assert done.stdout.startswith(b'{\n  "') and answer["assurance_level"] == "GUARDED"
        assert answer["why_denied"]["reason_code"] == "deny_by_default" and answer["near_misses"][0]["rule_id"] == "r"
        done = p.run("policy", "explain", "--action", "action.json", "--bundle", "bundle.json", check=0,
                     env={"NOMOS_POLICY_EXPLAIN_SUGGESTIONS": "false"})
        assert "minimal_allowing_change" not in json.loads(done.stdout)


def test_layers_and_hashes():
    with place() as p:
        (p.dir / "second.yaml").write_text(
            "version: v1\nrules:\n  - {id: s, action_type: fs.read, resource: 'file://workspace/**/.env', decision: DENY}\n")
        assert p.run("policy", "hash", "bundle.json", check=0).stdout.decode().strip() == BUNDLE_HASH
        both = p.run("policy", "hash", "bundle.json", "second.yaml", check=0).stdout
        assert both != p.run("policy", "hash", "second.yaml", "bundle.json", check=0).stdout
        action_file(p, "file://workspace/.env")
        done = p.run("policy", "test", "--action", "action.json", "--bundle", "bundle.json,second.yaml", check=0)
        assert json.loads(done.stdout)["matched_rule_ids"] == ["s"]
        (p.dir / "second.yaml").write_text(json.dumps(BUNDLE))
        done = p.run("policy", "hash", "bundle.json", "second.yaml", check=1)
        assert b'"r"' in done.stderr and b"second.yaml" in done.stderr, done


def test_signatures_are_verified_by_every_command():
    # nomos-policy.md 9.23.
    import subprocess
    with place() as p:
        subprocess.run("openssl genrsa -out key.pem 2048 && openssl rsa -in key.pem -pubout -out pub.pem && "
                       "openssl dgst -sha256 -sign key.pem bundle.json | base64 -w0 > bundle.sig", shell=True, check=True,
                       cwd=p.dir, capture_output=True)
        options = config(policy={"policy_bundle_path": "bundle.json", "verify_signatures": True,
                                 "signature_path": "bundle.sig", "public_key_path": "pub.pem"})
        p.write_config(options)
        action_file(p)
        args = ("policy", "test", "--action", "action.json", "--config", "nomos.json")
        assert json.loads(p.run(*args, check=0).stdout)["decision"] == "ALLOW"
        (p.dir / "bundle.json").write_text(json.dumps(BUNDLE) + "\n")
        done = p.run(*args, check=1)
        assert b"signature verification failed" in done.stderr, done
        assert b"signature verification failed" in p.run("serve", "-c", "nomos.json", check=1).stderr


def test_permission_suites():
    with place() as p:
        suite = {"schema_version": "v1", "identity": {"principal": "a", "agent": "b", "environment": "dev"}, "cases": [
            {"name": "one", "action": {"action_type": "fs.read", "resource": "file://workspace/x"}, "expect": "ALLOW", "rules": ["r"]},
            {"name": "two", "action": {"action_type": "fs.write", "resource": "file://workspace/x"}, "expect": "DENY"}]}
        (p.dir / "suite.json").write_text(json.dumps(suite))
        done = p.run("test", "--suite", "suite.json", "--bundle", "bundle.json", check=0)
        assert done.stdout.decode().splitlines()[-1] == f"2 passed, 0 failed | policy {BUNDLE_HASH}"
        suite["cases"][1]["expect"] = "ALLOW"
        (p.dir / "suite.json").write_text(json.dumps(suite))
        answer = json.loads(p.run("test", "--suite", "suite.json", "--bundle", "bundle.json", "--format", "json", check=1).stdout)
        assert answer["passed"] == 1 and answer["failed"] == 1 and answer["results"][1]["actual"] == "DENY"
        (p.dir / "suite.json").write_text("{}")
        p.run("test", "--suite", "suite.json", "--bundle", "bundle.json", check=2)
        done = p.run("test", "--suite", "none.json", "--bundle", "bundle.json", check=2)
        assert done.stderr == b"[ERROR] none.json: No such file or directory\n", done.stderr


def test_a_config_dump_hides_secrets_and_cannot_be_served():
    with place() as p:
        first = p.run("config", "dump", "-c", "nomos.json", check=0).stdout
        assert b"agent-secret" not in first and b"test-api-key" not in first and b"service-secret" not in first
        assert b"(secret" in first
        (p.dir / "dump.yaml").write_bytes(first)
        done = p.run("config", "check", "-c", "dump.yaml", check=1)
        assert b"was hidden by a dump" in done.stderr, "a dump never becomes a configuration with known secrets"


def test_config_references():
    with place() as p:
        schema = json.loads(p.run("config", "schema", check=0).stdout)
        assert schema["properties"]["gateway"]["properties"]["concurrency_limit"]["default"] == 32
        doc = p.run("config", "doc", check=0).stdout.decode()
        example = p.run("config", "example", check=0).stdout.decode()
        for key in ("concurrency_limit", "shutdown_grace_seconds", "checkpoint_every", "principal_agents"):
            assert key in doc and key in example, key
