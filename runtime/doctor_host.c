/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of the host: clock, descriptors, the listening address and the workspace. The
 * address is bound without sharing and let go; a gateway that answers there is asked for its
 * health and nothing else. One thread.
 */
#define _GNU_SOURCE /* adjtimex is Linux's own */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/clock.h"
#include "doctor_checks.h"
#include "net/http_client.h"
#include "net/listener.h"
#include "net/tls.h"
#include "runtime/listener_options.h"
#include "pipeline/options.h"
#include "runtime/options.h"

/* 2025-01-01 and 2100-01-01, seconds since 1970. */
#define CLOCK_MIN INT64_C(1735689600)
#define CLOCK_MAX INT64_C(4102444800)
#define FILES_MIN 256
#define FILES_GOOD 4096
#define PROBE_TIMEOUT_MS 2000
#define PROBE_TIMEOUT_NS (PROBE_TIMEOUT_MS * NS_PER_MS)
#define HEALTH_BYTES_MAX 256

enum finding
check_clock(struct doctor *d)
{
	int64_t now = clock_wall_ns() / NS_PER_SEC;

	if (now < CLOCK_MIN || now >= CLOCK_MAX)
		return doctor_say(d, FINDING_FAIL, "it is not between the years 2025 and 2099");
	return FINDING_PASS;
}

enum finding
doctor_judge_clock(struct doctor *d, int state, int status)
{
	if (state < 0)
		return doctor_say(d, FINDING_PASS, "the kernel does not tell");
	if (state == TIME_ERROR || (status & STA_UNSYNC) != 0)
		return doctor_say(d, FINDING_ADVICE,
			"nothing keeps the clock right, as far as the kernel knows");
	return doctor_say(d, FINDING_PASS, "the kernel says that it is kept right");
}

/* Others sign with their own clocks, and read records by ours. */
enum finding
check_clock_synchronised(struct doctor *d)
{
	struct timex t = {.modes = 0};
	int state = adjtimex(&t);

	return doctor_judge_clock(d, state, t.status);
}

enum finding
check_open_files(struct doctor *d)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return doctor_say(d, FINDING_FAIL, "%s", strerror(errno));
	/* serve raises the soft limit by itself (descriptors.h); the hard one is in its way. */
	if (limit.rlim_max < FILES_MIN)
		return doctor_say(d, FINDING_FAIL, "%llu is less than %d",
			(unsigned long long)limit.rlim_max, FILES_MIN);
	if (limit.rlim_max < FILES_GOOD)
		return doctor_say(d, FINDING_ADVICE, "%llu open files are few for many connections",
			(unsigned long long)limit.rlim_max);
	return doctor_say(d, FINDING_PASS, "%d or more", FILES_GOOD);
}

/* unix_path: the socket in place of the URL's host; NULL: none. */
static bool
answers_as_gateway(struct span url, const char *unix_path)
{
	struct http_client_options options;
	struct http_client *client = NULL;
	struct buf reply;
	struct errinfo ei;
	bool is_gateway = false;

	http_client_options_init(&options);
	options.connect_timeout_ns = PROBE_TIMEOUT_NS;
	options.total_timeout_ns = PROBE_TIMEOUT_NS;
	options.max_reply_bytes = HEALTH_BYTES_MAX;
	buf_init(&reply, HEALTH_BYTES_MAX + 1);
	struct http_call call = {
		.is_get = true, .url = url, .unix_path = unix_path, .reply = &reply};
	if (http_client_new(&options, &client, &ei) == OK &&
		http_client_call(client, &call, &ei) == OK) {
		struct span text = span_trim(buf_span(&reply));
		is_gateway = (call.status == 200 && span_eq_cstr(text, "ok")) ||
			     (call.status == 503 && span_eq_cstr(text, "draining"));
	}
	http_client_free(&client);
	buf_fini(&reply);
	return is_gateway;
}

/* Who has the key of our certificates is our gateway, also where it wants to see a certificate first. */
static bool
has_our_key(const struct doctor *d, const struct runtime_listener *l)
{
	struct tls_context *context = NULL;
	struct errinfo ei;
	bool is_ours = false;
	int fd = -1;

	if (gateway_section_try_tls(d->in->gateway, &context, &ei) == OK && context != NULL &&
		listener_connect(&l->addr, PROBE_TIMEOUT_MS, &fd, &ei) == OK) {
		is_ours = tls_context_is_served(context, fd);
		close(fd);
	}
	tls_context_unref(&context);
	return is_ours;
}

/* Without a ledger whose lock would tell. Whoever may say for whom it speaks is the proxy, so nobody else is answered behind a PROXY header. */
static enum finding
judge_busy_stateless(struct doctor *d, const struct runtime_listener *l, const char *why)
{
	if (l->proxy_protocol)
		return FINDING_ADVICE;
	if (l->tls ? has_our_key(d, l)
		   : answers_as_gateway(SPAN_LIT("http://localhost/healthz"), l->addr.path))
		return doctor_say(d, FINDING_PASS, "a gateway is running");
	return doctor_say(d, FINDING_FAIL, "%s, and %s", why,
		l->tls ? "not by a gateway with this certificate" : "no gateway answers there");
}

/* In use: fine when it is the gateway of this ledger. */
static enum finding
judge_busy(struct doctor *d, const struct runtime_listener *l, const char *why)
{
	char url[GATEWAY_URL_MAX + sizeof("/healthz")];
	struct errinfo ei;

	if (!d->in->pipeline->runtime.stateless_mode && !doctor_ledger_is_held(d))
		return doctor_say(
			d, FINDING_FAIL, "%s, and not by a gateway with this ledger", why);
	/* Not asked for its health: a file, a certificate that we cannot judge, or a place for proxies. */
	if (l->addr.kind == LISTENER_UNIX || l->tls || l->proxy_protocol)
		return d->in->pipeline->runtime.stateless_mode ? judge_busy_stateless(d, l, why)
							       : FINDING_PASS;
	if (gateway_section_build_url(d->in->gateway, "/healthz", url, sizeof(url), &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	if (!answers_as_gateway(span_cstr(url), NULL))
		return doctor_say(d, FINDING_FAIL, "%s, and no gateway answers there", why);
	return doctor_say(d, FINDING_PASS, "a gateway is running");
}

/* FINDING_PASS for one that is fine, and *is_running when it is the gateway's own already; FINDING_ADVICE when that cannot be asked. */
static enum finding
check_one_address(struct doctor *d, struct runtime_listener *l, bool *is_running)
{
	struct errinfo ei;

	if (l->addr.kind == LISTENER_INHERITED ||
		(l->addr.kind == LISTENER_TCP && l->addr.port == 0))
		return FINDING_PASS;
	enum err rc = listener_probe(&l->addr, &ei);
	if (rc != OK && l->name.n > 0)
		err_wrap(&ei, rc, "%s", l->name.p);
	if (rc == ERR_BUSY) {
		enum finding finding = judge_busy(d, l, ei.msg);
		*is_running = *is_running || finding == FINDING_PASS;
		return finding;
	}
	return rc == OK ? FINDING_PASS : doctor_say(d, FINDING_FAIL, "%s", ei.msg);
}

enum finding
check_address(struct doctor *d)
{
	struct runtime_listeners listeners;
	struct errinfo ei;
	bool is_running = false;
	bool is_unasked = false;

	if (runtime_listeners_build(d->in->gateway, &listeners, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	for (size_t i = 0; i < listeners.n; i++) {
		enum finding finding = check_one_address(d, &listeners.v[i], &is_running);
		if (finding == FINDING_FAIL)
			return FINDING_FAIL;
		is_unasked = is_unasked || finding == FINDING_ADVICE;
	}
	if (is_running)
		return doctor_say(d, FINDING_PASS, "a gateway is running");
	if (is_unasked)
		return doctor_say(d, FINDING_ADVICE,
			"the address is in use, and behind a PROXY header it cannot be asked by "
			"whom");
	if (listeners.n > 1)
		return doctor_say(d, FINDING_PASS, "%zu listeners are free", listeners.n);
	if (listeners.v[0].addr.kind == LISTENER_INHERITED)
		return doctor_say(d, FINDING_PASS, "the service manager opens it");
	/* The probe has found a port by now where any will do. */
	return doctor_say(d, FINDING_PASS, "%s",
		listeners.v[0].addr.kind == LISTENER_TCP && listeners.v[0].addr.port == 0
			? "any free port"
			: "free");
}

/* Where the network is declared to be controlled, TLS may end in front of the gateway. */
enum finding
check_plain_listener(struct doctor *d)
{
	enum deployment_mode mode = d->in->pipeline->runtime.deployment_mode;
	struct runtime_listeners listeners;
	struct errinfo ei;
	const struct runtime_listener *open = NULL;

	if (runtime_listeners_build(d->in->gateway, &listeners, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	for (size_t i = 0; i < listeners.n && open == NULL; i++) {
		const struct runtime_listener *l = &listeners.v[i];
		/* Nobody shows a key to be told that the process lives. */
		if (!l->tls && l->roles != LISTENER_HEALTH && !listener_is_loopback(&l->addr))
			open = l;
	}
	if (open == NULL)
		return doctor_say(
			d, FINDING_PASS, "what other hosts reach speaks TLS, if there is any");
	const char *name = open->name.n > 0 ? open->name.p : "the listener";
	if (open->addr.kind == LISTENER_INHERITED)
		return doctor_say(d, FINDING_ADVICE,
			"%s is the service manager's: off loopback, TLS has to end in front of it",
			name);
	if (mode == DEPLOYMENT_CI || mode == DEPLOYMENT_K8S)
		return doctor_say(d, FINDING_ADVICE,
			"%s is plain and not on loopback: TLS has to end in front of it", name);
	return doctor_say(
		d, FINDING_FAIL, "%s: keys and actions would cross the network in clear", name);
}

/* What a proxy says of its client is believed; who is believed everywhere is nobody's proxy. */
enum finding
check_trusted_proxies(struct doctor *d)
{
	const struct config_strings *list = &d->in->gateway->trusted_proxies;

	if (list->n == 0)
		return doctor_say(d, FINDING_PASS, "nobody is believed");
	for (size_t i = 0; i < list->n; i++) {
		if (span_ends(list->v[i], SPAN_LIT("/0")))
			return doctor_say(d, FINDING_ADVICE,
				"with %.*s in gateway.trusted_proxies every client may say where "
				"it comes from",
				SPAN_ARG(list->v[i]));
	}
	return doctor_say(d, FINDING_PASS, "%zu named", list->n);
}

static const char *
workspace(const struct doctor *d)
{
	struct span root = d->in->pipeline->executor.workspace_root;

	return root.n > 0 ? root.p : ".";
}

enum finding
check_workspace_set(struct doctor *d)
{
	if (d->in->pipeline->executor.workspace_root.n == 0)
		return doctor_say(d, FINDING_ADVICE,
			"executor.workspace_root is not set: the working directory is the "
			"workspace");
	return FINDING_PASS;
}

enum finding
check_workspace_exists(struct doctor *d)
{
	struct stat st;

	if (stat(workspace(d), &st) != 0)
		return doctor_say(d, FINDING_FAIL, "%s: %s", workspace(d), strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return doctor_say(d, FINDING_FAIL, "%s is not a folder", workspace(d));
	return FINDING_PASS;
}

enum finding
check_workspace_canonical(struct doctor *d)
{
	char real[PATH_MAX];

	if (realpath(workspace(d), real) == NULL)
		return doctor_say(d, FINDING_FAIL, "%s: %s", workspace(d), strerror(errno));
	return FINDING_PASS;
}

enum finding
check_workspace_writable(struct doctor *d)
{
	if (access(workspace(d), R_OK | X_OK) != 0)
		return doctor_say(d, FINDING_FAIL, "%s: %s", workspace(d), strerror(errno));
	if (access(workspace(d), W_OK) != 0)
		return doctor_say(d, FINDING_ADVICE,
			"the workspace cannot be written: fs.write works in folders below it only");
	return FINDING_PASS;
}
