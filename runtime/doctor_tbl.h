/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of doctor (nomos-mcp-cli.md 2), by id: X(id, needs, function, title, passes,
 * remedy). The title is the message of a check that passes, with " failed" behind it when it does
 * not; passes says when it does, for the reference; the remedy follows what was measured. In the order of the ids, but for
 * strong.assurance_evidence_backed, which sums up the strong ones before it. Includers define X.
 */
#ifndef RUNTIME_DOCTOR_TBL_H
#define RUNTIME_DOCTOR_TBL_H

#include <stddef.h>

/* clang-format off */
#define DOCTOR_CHECKS(X) \
	X("approvals.approvers_configured", CONFIG, check_approvers, \
		"approvers", \
		"approvals are off, or somebody can decide and every relay speaks for an approver", \
		"set approvals.approver_principals or identity.roles.approver") \
	X("audit.sinks", CONFIG, check_sinks, \
		"sinks", \
		"each file of audit.sink can be appended to; webhooks are https and signed; with " \
		"--deep, none fails or has dead letters", \
		"let this user write the file's folder; https and audit.webhook.secret for a " \
		"webhook; `nomos audit sinks` shows how far each is") \
	X("audit.stateless", CONFIG, check_stateless, \
		"trail of stateless mode", \
		"there is a ledger; or checkpoints are signed with a key that stays, and a webhook " \
		"takes the records", \
		"set audit.checkpoint_key_path, and a webhook to another host in audit.sink") \
	X("clock.sane", NOTHING, check_clock, \
		"wall clock", \
		"the clock is between the years 2025 and 2099", \
		"set the host's clock; records and approvals carry its time") \
	X("clock.synchronised", NOTHING, check_clock_synchronised, \
		"clock that is kept right", \
		"the kernel says that something keeps the clock right (adjtimex); where it does not " \
		"tell, that is said", \
		"run chrony, systemd-timesyncd or the like on the host; signatures, tokens and " \
		"records depend on it") \
	X("config.bundle_path_resolves", CONFIG, check_bundle_path, \
		"policy bundle path resolution", \
		"a policy bundle is named", \
		"set policy.policy_bundle_path or policy.policy_bundle_paths") \
	X("config.environment_recognized", CONFIG, check_environment, \
		"environment recognition", \
		"identity.environment is ci, dev, local, prod, staging or test, in any case", \
		"set identity.environment to one of ci, dev, local, prod, staging, test") \
	X("config.load", NOTHING, check_config_load, \
		"configuration load", \
		"the file is read, decoded and valid, with the environment", \
		"`nomos config check` names every error") \
	X("config.path_resolves", NOTHING, check_config_path, \
		"configuration path resolution", \
		"a configuration is named", \
		"give --config/-c FILE or NOMOS_CONFIG; `nomos init` makes one") \
	X("evidence.audit.durable_verified", STRONG, check_evidence_audit, \
		"evidence of a durable audit trail", \
		"measured: the ledger lies on a local disk, and required webhooks do not fail; in " \
		"stateless mode, that a webhook is required (that it keeps records cannot be " \
		"measured)", \
		"keep the ledger on a local disk, without it name webhook in audit.required; then " \
		"set runtime.evidence.durable_audit_verified") \
	X("evidence.identity.workload_identity_verified", STRONG, check_evidence_identity, \
		"evidence of workload identity", \
		"measured: no API keys; the CA of SPIFFE certificates loads, the keys of tokens load " \
		"from their file, with --deep from the issuer", \
		"let tokens or SPIFFE IDs alone name principals; then set " \
		"runtime.evidence.workload_identity_verified") \
	X("evidence.runtime.container_backend_ready", STRONG, check_evidence_container, \
		"evidence of a container backend", \
		"measured: this process has a process namespace of its own", \
		"run it in a container with processes of its own (no hostPID); then set " \
		"runtime.evidence.container_backend_ready") \
	X("evidence.runtime.network_default_deny", STRONG, check_evidence_network, \
		"evidence of a closed network", \
		"measured when no route leaves the host; else only asserted: what closes a route is " \
		"not seen without sending", \
		"deny what is not named (a NetworkPolicy, IPAddressDeny=any); then set " \
		"runtime.evidence.network_default_deny") \
	X("evidence.runtime.no_new_privileges", STRONG, check_evidence_no_new_privileges, \
		"evidence of no_new_privs", \
		"measured: no_new_privs is on", \
		"allowPrivilegeEscalation: false, or NoNewPrivileges=yes in the unit; then set " \
		"runtime.evidence.no_new_privileges") \
	X("evidence.runtime.read_only_fs", STRONG, check_evidence_read_only, \
		"evidence of a read-only file system", \
		"measured: / is mounted read-only", \
		"readOnlyRootFilesystem: true, or ProtectSystem=strict in the unit; then set " \
		"runtime.evidence.read_only_fs") \
	X("evidence.runtime.rootless_or_non_privileged", STRONG, check_evidence_rootless, \
		"evidence of an unprivileged user", \
		"measured: not root, no capabilities but CAP_NET_BIND_SERVICE; or a user namespace " \
		"whose user is not root outside", \
		"run as another user than root, capabilities dropped; then set " \
		"runtime.evidence.rootless_or_non_privileged") \
	X("files.modes", CONFIG, check_file_modes, \
		"file modes", \
		"nobody else can write configuration, policy, public keys, certificates and ledger, " \
		"nor replace them in their folder; nobody else reads secrets", \
		"chmod go-w them; chmod 600 what holds a key or secret; chmod +t or o-w the folder") \
	X("fs.workspace_canonicalizes", CONFIG, check_workspace_canonical, \
		"workspace path resolution", \
		"executor.workspace_root has a real path", \
		"set executor.workspace_root to a folder that this user can reach") \
	X("fs.workspace_exists", CONFIG, check_workspace_exists, \
		"workspace folder", \
		"executor.workspace_root is a folder", \
		"make the folder, or set executor.workspace_root") \
	X("fs.workspace_non_empty", CONFIG, check_workspace_set, \
		"workspace setting", \
		"executor.workspace_root is set", \
		"set executor.workspace_root") \
	X("gateway.address_free", OFFLINE, check_address, \
		"listening address", \
		"each listening address can be bound, or the gateway of this ledger listens there; " \
		"without a ledger, one that has the key of a certificate of gateway.tls, or that " \
		"answers /healthz", \
		"stop the other program, or change gateway.listen or gateway.listeners") \
	X("gateway.certificates", CONFIG, check_certificates, \
		"TLS certificates", \
		"certificates and keys load and last for a week or more, OCSP responses and lists of " \
		"revoked certificates for a day; no key can be read by every user", \
		"renew it and put the files there (they are read anew by themselves); chmod 0640 the " \
		"key") \
	X("gateway.plain_listener", CONFIG, check_plain_listener, \
		"plain listener", \
		"what other hosts reach speaks TLS; in modes k8s and ci TLS may end in front", \
		"set gateway.tls.enabled, or listen on 127.0.0.1, or set runtime.deployment_mode to " \
		"k8s or ci where TLS ends in front") \
	X("gateway.snapshot_builds", CONFIG, check_snapshot, \
		"gateway preparation", \
		"policy, identities, limits, redaction and workspace come together as for a start", \
		"`nomos serve` would stop with the same error") \
	X("gateway.trusted_proxies", CONFIG, check_trusted_proxies, \
		"trusted proxies", \
		"gateway.trusted_proxies does not believe everybody", \
		"name the addresses of the proxies alone") \
	X("identity.auth_mode_valid", CONFIG, check_auth_mode, \
		"authentication of principals", \
		"keys, services, tokens, SPIFFE IDs, certificate names or users of unix sockets name " \
		"a principal", \
		"set identity.hashed_keys, service_secrets, oidc, spiffe, mtls or unix") \
	X("identity.environment_derivation", CONFIG, check_environment, \
		"environment derivation", \
		"the same as config.environment_recognized", \
		"set identity.environment to one of ci, dev, local, prod, staging, test") \
	X("identity.key_expiry", CONFIG, check_key_expiry, \
		"end of API keys", \
		"no hashed key has expired or expires within two weeks", \
		"make another with `nomos keys new`, reload, switch the client, remove this one") \
	X("identity.key_strength", CONFIG, check_key_strength, \
		"strength of keys and secrets", \
		"no key or secret is that of an example or short; no API key stands in clear", \
		"replace them: `openssl rand -hex 32`, or keys nk_ID_SECRET in identity.hashed_keys") \
	X("identity.principal_agents_configured", CONFIG, check_principal_agents, \
		"pairs of principals and agents", \
		"identity.principal_agents is set", \
		"set identity.principal_agents") \
	X("identity.request_signatures", CONFIG, check_request_signatures, \
		"request signatures", \
		"signatures of version 1 are not taken", \
		"when all clients sign with v2, set identity.signature_versions to [v2]") \
	X("identity.required_secrets_present", CONFIG, check_required_secrets, \
		"required secrets", \
		"identity.agent has a secret or a public key", \
		"give identity.agent a secret in identity.agent_secrets, or a key in " \
		"agent_public_keys") \
	X("identity.roles_configured", CONFIG, check_roles, \
		"roles", \
		"identity.roles is set", \
		"set identity.roles: who is viewer, approver, operator") \
	X("identity.token_keys", CONFIG, check_token_keys, \
		"keys of the token issuer", \
		"with identity.oidc: its keys load from their file; with --deep, from the issuer", \
		"look at identity.oidc: the issuer, its https, ca_file, or public_key_path") \
	X("ledger.chain", DEEP, check_ledger_chain, \
		"ledger chain", \
		"with --deep: every record and checkpoint verifies", \
		"keep the file as it is and see `nomos audit verify`") \
	X("ledger.disk_space", CONFIG, check_ledger_space, \
		"disk space for the ledger", \
		"256 MiB are free below the ledger (fails under 16 MiB)", \
		"free some, or move ledger.path; a full disk stops every action") \
	X("ledger.file_system", CONFIG, check_ledger_file_system, \
		"file system of the ledger", \
		"the ledger lies neither across a network (fails) nor in memory or a container's " \
		"layer (advice)", \
		"move ledger.path to a local disk") \
	X("ledger.growth", CONFIG, check_ledger_growth, \
		"growth of the ledger", \
		"retention is set, or the ledger is below 4 GiB", \
		"set audit.retention.days or audit.retention.records; older records then go into " \
		"archives") \
	X("ledger.key_mode", CONFIG, check_ledger_key, \
		"checkpoint key", \
		"the checkpoint key loads and is its owner's alone, or will be made", \
		"restore the key, or chmod 600 it") \
	X("ledger.opens", OFFLINE, check_ledger_opens, \
		"ledger", \
		"the ledger is one of this version and can be written, or can be made", \
		"set ledger.path to a file this user may write, in a folder this user may write") \
	X("limits.open_files", NOTHING, check_open_files, \
		"limit of open files", \
		"the hard limit of open files is 4096 or more (fails under 256)", \
		"raise it: ulimit -Hn 65536, or LimitNOFILE=65536 in the unit") \
	X("mcp.enabled", CONFIG, check_mcp, \
		"MCP", \
		"nothing yet: MCP is not part of this version", \
		NULL) \
	X("mcp.stdio_structure_valid", CONFIG, check_mcp, \
		"MCP stdio structure", \
		"the same", \
		NULL) \
	X("mcp.transport_configured", CONFIG, check_mcp, \
		"MCP transport", \
		"the same", \
		NULL) \
	X("policy.bundle_exists", CONFIG, check_bundle_exists, \
		"policy bundle", \
		"each bundle is there", \
		"put the bundle there, or change policy.policy_bundle_path") \
	X("policy.bundle_hash", CONFIG, check_bundle_hash, \
		"policy bundle hash", \
		"the policy has a hash", \
		"repair the bundle first") \
	X("policy.bundle_parses", CONFIG, check_bundle_parses, \
		"policy bundle load", \
		"the bundles load, with their signatures where they are required", \
		"`nomos policy hash FILE` says the same of one file") \
	X("policy.deny_by_default_probe", CONFIG, check_deny_by_default, \
		"deny by default", \
		"the action doctor.unmatched on file://workspace/__doctor_probe__ is denied", \
		"some rule allows any action on any file: make its action_type and resource narrower") \
	X("secrets.strength", CONFIG, check_shared_secrets, \
		"strength of shared secrets", \
		"secrets of webhooks, relays and receivers are not those of examples nor short; for " \
		"credentials in telemetry.headers that are, there is advice", \
		"replace it on both sides: `openssl rand -hex 32`") \
	X("strong.audit_durable", STRONG, check_strong_audit, \
		"durable audit sink", \
		"there is a ledger or a webhook", \
		"keep a ledger or a webhook sink") \
	X("strong.controlled_runtime_mode", STRONG, check_strong_mode, \
		"controlled runtime", \
		"runtime.deployment_mode is ci or k8s", \
		"set runtime.deployment_mode to ci or k8s") \
	X("strong.environment_bound", STRONG, check_strong_environment, \
		"bound environment", \
		"identity.environment is ci, staging or prod", \
		"set identity.environment to ci, staging or prod") \
	X("strong.gateway_mtls", STRONG, check_strong_mtls, \
		"mutual TLS", \
		"every listener with the role api speaks TLS and requires a certificate, and the CA " \
		"of clients loads; a unix socket asks for none", \
		"set gateway.tls.enabled, client_ca_file and require_mtls, and leave the role api to " \
		"listeners that speak TLS") \
	X("strong.network_boundary_controlled", STRONG, check_strong_network, \
		"controlled network boundary", \
		"the mode is ci or k8s; measured: in k8s no interface has hardware behind it", \
		"set runtime.deployment_mode to ci or k8s, and give a pod a network of its own (no " \
		"hostNetwork)") \
	X("strong.no_shared_api_keys", STRONG, check_strong_keys, \
		"no shared API keys", \
		"there are no API keys", \
		"remove identity.api_keys and identity.hashed_keys") \
	X("strong.sandbox_container", STRONG, check_strong_sandbox, \
		"container sandbox", \
		"executor.sandbox_enabled and sandbox_profile: container", \
		"set executor.sandbox_enabled and executor.sandbox_profile: container") \
	X("strong.seccomp", STRONG, check_strong_seccomp, \
		"filter of system calls", \
		"measured: a filter of system calls is on", \
		"seccompProfile: {type: RuntimeDefault}, or SystemCallFilter=@system-service in the " \
		"unit") \
	X("strong.token_files", STRONG, check_strong_tokens, \
		"no credentials of the platform", \
		"measured: no service account, cloud credential, SSH key or engine socket in the " \
		"usual places can be used, nor a variable with one", \
		"automountServiceAccountToken: false; take away the file, socket or variable") \
	X("strong.workload_identity", STRONG, check_strong_identity, \
		"workload identity", \
		"identity.oidc or identity.spiffe is on", \
		"set up identity.oidc or identity.spiffe") \
	X("strong.writable_mounts", STRONG, check_strong_mounts, \
		"mounts that can be written", \
		"measured: no mount can be written but those of ledger, workspace, archive and file " \
		"sinks, temporary ones and the kernel's", \
		"mount it read-only, or take it away") \
	X("strong.assurance_evidence_backed", STRONG, check_strong_assurance, \
		"assurance level STRONG", \
		"the level is STRONG, and every other strong check passed", \
		"every strong and evidence check has to pass") \
	X("telemetry.collector", CONFIG, check_telemetry, \
		"collector of telemetry", \
		"telemetry is off, or no header crosses the network in clear; with --deep, the collector " \
		"answers", \
		"https in telemetry.sink; look at the collector: what it does not take is dropped and counted") \
	X("tls.ca_files", CONFIG, check_ca_files, \
		"certificates of CAs and receivers", \
		"CA files of clients, token issuer, webhooks, receivers and collector, and the " \
		"certificates shown to receivers and collector, load and last for a week or more; no " \
		"private key of theirs can be read by every user", \
		"renew it; of a CA, put the new one beside the old one into the file, then remove " \
		"the old one; chmod 0640 a key") \
	X("workspace.writable", CONFIG, check_workspace_writable, \
		"access to the workspace", \
		"this user can read the workspace (fails) and write to it (advice)", \
		"give this user read and search rights to executor.workspace_root")
/* clang-format on */

#endif
