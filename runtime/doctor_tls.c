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
#define FILES_MAX (4 + APPROVAL_RECEIVERS_MAX)

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
judge_ends(struct doctor *d, int64_t end_s, int64_t ocsp_end_s)
{
	int64_t left = left_s(end_s);

	if (left < CERTIFICATE_SOON_S)
		return doctor_say(
			d, FINDING_ADVICE, "a certificate ends in %" PRId64 " hours", left / 3600);
	if (ocsp_end_s != 0 && left_s(ocsp_end_s) <= 0)
		return doctor_say(d, FINDING_ADVICE,
			"an OCSP response is out of its time and not sent along: fetch a new one");
	if (ocsp_end_s != 0 && left_s(ocsp_end_s) < ANSWER_SOON_S)
		return doctor_say(d, FINDING_ADVICE,
			"an OCSP response ends in %" PRId64 " hours: fetch a new one",
			left_s(ocsp_end_s) / 3600);
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
	int64_t end_s = tls_context_get_end_s(context);
	int64_t ocsp_end_s = tls_context_get_ocsp_end_s(context);
	tls_context_unref(&context);
	const char *exposed = find_exposed_key(&d->in->gateway->tls);
	if (exposed != NULL)
		return doctor_say(
			d, FINDING_ADVICE, "%s can be read by every user: chmod 0640", exposed);
	return judge_ends(d, end_s, ocsp_end_s);
}

struct ca_file {
	const char *key;
	struct span path;
};

static size_t
list_ca_files(const struct doctor *d, struct ca_file out[FILES_MAX])
{
	const struct approvals_section *a = &d->in->pipeline->approvals;
	size_t n = 0;

	if (d->in->gateway->tls.enabled)
		out[n++] = (struct ca_file){
			"gateway.tls.client_ca_file", d->in->gateway->tls.client_ca_file};
	if (d->in->pipeline->identity.oidc.enabled)
		out[n++] = (struct ca_file){
			"identity.oidc.ca_file", d->in->pipeline->identity.oidc.ca_file};
	out[n++] = (struct ca_file){"audit.webhook.ca_file", d->in->audit->webhook.ca_file};
	for (size_t i = 0; a->enabled && i < a->notify.n && i < APPROVAL_RECEIVERS_MAX; i++)
		out[n++] = (struct ca_file){"approvals.notify.ca_file", a->notify.v[i].ca_file};
	return n;
}

/* While a CA is replaced its bundle holds the old one too, so the last one counts. */
enum finding
check_ca_files(struct doctor *d)
{
	struct ca_file files[FILES_MAX];
	size_t n = list_ca_files(d, files);
	size_t n_read = 0;

	for (size_t i = 0; i < n; i++) {
		int64_t first_s = 0;
		int64_t last_s = 0;
		struct errinfo ei;

		if (files[i].path.n == 0)
			continue;
		n_read++;
		if (tls_find_ends(files[i].path.p, &first_s, &last_s, &ei) != OK)
			return doctor_say(d, FINDING_FAIL, "%s: %s", files[i].key, ei.msg);
		if (left_s(last_s) <= 0)
			return doctor_say(
				d, FINDING_FAIL, "%s: all of it has expired", files[i].key);
		if (left_s(last_s) < CERTIFICATE_SOON_S)
			return doctor_say(d, FINDING_ADVICE,
				"%s: the last certificate ends in %" PRId64 " hours", files[i].key,
				left_s(last_s) / 3600);
	}
	return doctor_say(d, FINDING_PASS, "%zu files", n_read);
}
