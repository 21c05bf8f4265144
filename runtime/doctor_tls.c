/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Checks of certificates: those that are shown, the CA's answers about them, and the CAs that others are judged by. One thread. */
#include <inttypes.h>

#include "base/clock.h"
#include "doctor_checks.h"
#include "net/tls.h"
#include "pipeline/options.h"
#include "runtime/options.h"

#define DAY_S 86400
/* An agent that renews certificates has done so long before. */
#define CERTIFICATE_SOON_S (7 * DAY_S)
/* CAs answer for some days and renew in the middle of that. */
#define ANSWER_SOON_S DAY_S
#define FILES_MAX (6 + 2 * APPROVAL_RECEIVERS_MAX)

static int64_t
left_s(int64_t end_s)
{
	return end_s - clock_wall_ns() / NS_PER_SEC;
}

/* A key that every user can read. */
static const char *
find_exposed_key(const struct gateway_tls_section *t)
{
	if (tls_key_is_exposed(t->key_file.p))
		return t->key_file.p;
	for (size_t i = 0; i < t->certificates.n; i++) {
		if (tls_key_is_exposed(t->certificates.v[i].key_file.p))
			return t->certificates.v[i].key_file.p;
	}
	return NULL;
}

static enum finding
judge_lists(struct doctor *d, int64_t end_s)
{
	if (end_s == INT64_MAX || left_s(end_s) >= ANSWER_SOON_S)
		return FINDING_PASS;
	return doctor_say(d, FINDING_ADVICE,
		"a list of revoked client certificates ends in %" PRId64
		" hours, and every client certificate is refused then: fetch a new one",
		left_s(end_s) / 3600);
}

static enum finding
judge_answers(struct doctor *d, int64_t end_s)
{
	if (end_s == 0 || left_s(end_s) >= ANSWER_SOON_S)
		return FINDING_PASS;
	if (left_s(end_s) <= 0)
		return doctor_say(d, FINDING_ADVICE,
			"an OCSP response is out of its time and not sent along: fetch a new one");
	return doctor_say(d, FINDING_ADVICE,
		"an OCSP response ends in %" PRId64 " hours: fetch a new one",
		left_s(end_s) / 3600);
}

static enum finding
judge_ends(struct doctor *d, const struct tls_context *c)
{
	int64_t left = left_s(tls_context_get_end_s(c));

	if (left < CERTIFICATE_SOON_S)
		return doctor_say(
			d, FINDING_ADVICE, "a certificate ends in %" PRId64 " hours", left / 3600);
	if (judge_lists(d, tls_context_get_crl_end_s(c)) != FINDING_PASS ||
		judge_answers(d, tls_context_get_ocsp_end_s(c)) != FINDING_PASS)
		return FINDING_ADVICE;
	return doctor_say(
		d, FINDING_PASS, "the first certificate ends in %" PRId64 " days", left / DAY_S);
}

enum finding
check_certificates(struct doctor *d)
{
	struct tls_context *context = NULL;
	struct errinfo ei;

	if (gateway_section_try_tls(d->in->gateway, &context, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	if (context == NULL)
		return doctor_say(d, FINDING_PASS, "no listener speaks TLS");
	const char *exposed = find_exposed_key(&d->in->gateway->tls);
	enum finding finding =
		exposed != NULL ? doctor_say(d, FINDING_ADVICE,
					  "%s can be read by every user: chmod 0640", exposed)
				: judge_ends(d, context);
	tls_context_unref(&context);
	return finding;
}

/* A file of somebody else's CA, or of a certificate of our own, which has a private key. */
struct pem_file {
	const char *key;
	struct span path;
	struct span private_key;
};

struct pem_list {
	struct pem_file v[FILES_MAX];
	size_t n;
};

static void
add_ca(struct pem_list *l, const char *key, struct span path)
{
	if (path.n > 0 && l->n < FILES_MAX)
		l->v[l->n++] = (struct pem_file){key, path, SPAN_NONE};
}

/* Without a file of its own the private key is in the certificate's. */
static void
add_own(struct pem_list *l, const char *key, struct span path, struct span private_key)
{
	if (path.n > 0 && l->n < FILES_MAX)
		l->v[l->n++] = (struct pem_file){key, path, private_key.n > 0 ? private_key : path};
}

static void
list_files(const struct doctor *d, struct pem_list *l)
{
	const struct approvals_section *a = &d->in->pipeline->approvals;
	const struct audit_webhook_section *w = &d->in->audit->webhook;
	const struct telemetry_section *t = d->in->telemetry;

	if (d->in->gateway->tls.enabled)
		add_ca(l, "gateway.tls.client_ca_file", d->in->gateway->tls.client_ca_file);
	if (d->in->pipeline->identity.oidc.enabled)
		add_ca(l, "identity.oidc.ca_file", d->in->pipeline->identity.oidc.ca_file);
	add_ca(l, "audit.webhook.ca_file", w->ca_file);
	add_own(l, "audit.webhook.cert_file", w->cert_file, w->key_file);
	for (size_t i = 0; a->enabled && i < a->notify.n; i++) {
		const struct approval_notify_section *n = &a->notify.v[i];
		add_ca(l, "approvals.notify.ca_file", n->ca_file);
		add_own(l, "approvals.notify.cert_file", n->cert_file, n->key_file);
	}
	if (t != NULL && t->enabled) {
		add_ca(l, "telemetry.ca_file", t->ca_file);
		add_own(l, "telemetry.cert_file", t->cert_file, t->key_file);
	}
}

static enum finding
judge_private_keys(struct doctor *d, const struct pem_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct pem_file *f = &l->v[i];
		if (f->private_key.n > 0 && tls_key_is_exposed(f->private_key.p))
			return doctor_say(d, FINDING_ADVICE,
				"%s: every user can read its private key, or others can write it: "
				"chmod 0640",
				f->key);
	}
	return doctor_say(d, FINDING_PASS, "%zu files", l->n);
}

/* While a CA is replaced its bundle holds the old one too, so the last one counts; of a chain of our own the first that ends. */
enum finding
check_ca_files(struct doctor *d)
{
	struct pem_list files = {.n = 0};

	list_files(d, &files);
	for (size_t i = 0; i < files.n; i++) {
		const struct pem_file *f = &files.v[i];
		int64_t first_s = 0;
		int64_t last_s = 0;
		struct errinfo ei;

		if (tls_find_ends(f->path.p, &first_s, &last_s, &ei) != OK)
			return doctor_say(d, FINDING_FAIL, "%s: %s", f->key, ei.msg);
		int64_t left = left_s(f->private_key.n > 0 ? first_s : last_s);
		if (left <= 0)
			return doctor_say(d, FINDING_FAIL, "%s: it has expired", f->key);
		if (left < CERTIFICATE_SOON_S)
			return doctor_say(d, FINDING_ADVICE, "%s: it ends in %" PRId64 " hours",
				f->key, left / 3600);
	}
	return judge_private_keys(d, &files);
}
