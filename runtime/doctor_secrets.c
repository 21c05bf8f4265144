/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Checks of keys and secrets: texts that stand in examples, short ones, keys that end. They name whose it is, never a key or a secret. One thread. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sign.h"
#include "config/values.h"
#include "doctor_checks.h"
#include "pipeline/options.h"
#include "runtime/options.h"

#define KEY_BYTES_STRONG 32
#define SECRET_BYTES_MIN 16 /* find_weakness has it in words */
#define KEY_SOON_DAYS 14
#define DAY_NS (86400 * NS_PER_SEC)

static bool
holds(struct span text, struct span word)
{
	for (size_t at = 0; at + word.n <= text.n; at++) {
		if (span_eq_nocase(span_of(text.p + at, word.n), word))
			return true;
	}
	return false;
}

/* Texts that stand in examples, alone or with a dash or a number around them. */
static bool
looks_default(struct span secret)
{
	static const char *const words[] = {"agent-secret", "dev-api-key", "api-key", "apikey",
		"service-secret", "changeme", "change-me", "change_me", "replace-me", "replaceme",
		"replace_me", "password", "secret", "example", "default", "placeholder", "your-",
		"0123456789abcdef", "xxxxxxxx", "hunter2"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (holds(secret, span_cstr(words[i])))
			return true;
	}
	return false;
}

/* The public halves of RFC 8032's test keys, whose private halves are printed there and in our own vectors. */
static bool
is_known_key(struct span pem)
{
	static const char *const keys[] = {"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
		"PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw",
		"/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (holds(pem, span_cstr(keys[i])))
			return true;
	}
	return false;
}

/* NULL for one that is fine. */
static const char *
find_weakness(struct span secret)
{
	if (looks_default(secret))
		return "looks like an example";
	return secret.n < SECRET_BYTES_MIN ? "is shorter than 16 bytes" : NULL;
}

static enum finding
judge_secret(struct doctor *d, struct span secret, const char *what, struct span whose)
{
	const char *weakness = find_weakness(secret);

	if (weakness == NULL)
		return FINDING_PASS;
	return doctor_say(d, FINDING_FAIL, "the secret of %s%.*s%s %s", what, SPAN_ARG(whose),
		whose.n > 0 ? "\"" : "", weakness);
}

static enum finding
judge_secrets(struct doctor *d, const struct config_map *m, const char *what)
{
	for (size_t i = 0; i < m->n; i++) {
		if (judge_secret(d, m->v[i].value, what, m->v[i].key) != FINDING_PASS)
			return FINDING_FAIL;
	}
	return FINDING_PASS;
}

static enum finding
judge_public_keys(struct doctor *d, const struct config_map *m, const char *what)
{
	for (size_t i = 0; i < m->n; i++) {
		if (is_known_key(m->v[i].value))
			return doctor_say(d, FINDING_FAIL,
				"the key of %s%.*s\" is an example, and everybody has its other "
				"half",
				what, SPAN_ARG(m->v[i].key));
	}
	return FINDING_PASS;
}

static enum finding
judge_api_keys(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;

	for (size_t i = 0; i < o->api_keys.n; i++) {
		struct span key = o->api_keys.v[i].key;
		struct span who = o->api_keys.v[i].value;
		if (looks_default(key))
			return doctor_say(d, FINDING_FAIL,
				"an API key of \"%.*s\" looks like an example", SPAN_ARG(who));
		if (key.n < KEY_BYTES_STRONG)
			return doctor_say(d, FINDING_FAIL,
				"an API key of \"%.*s\" is shorter than %d bytes", SPAN_ARG(who),
				KEY_BYTES_STRONG);
	}
	return FINDING_PASS;
}

enum finding
check_key_strength(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;

	if (judge_api_keys(d) != FINDING_PASS ||
		judge_secrets(d, &o->agent_secrets, "the agent \"") != FINDING_PASS ||
		judge_secrets(d, &o->service_secrets, "the service \"") != FINDING_PASS ||
		judge_public_keys(d, &o->agent_public_keys, "the agent \"") != FINDING_PASS ||
		judge_public_keys(d, &o->service_public_keys, "the service \"") != FINDING_PASS)
		return FINDING_FAIL;
	if (o->api_keys.n > 0)
		return doctor_say(
			d, FINDING_ADVICE, "API keys stand in clear in the configuration");
	return FINDING_PASS;
}

static bool
is_credential(struct span header)
{
	static const char *const words[] = {
		"auth", "key", "token", "secret", "password", "credential"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (holds(header, span_cstr(words[i])))
			return true;
	}
	return false;
}

/* "user:password" in base64; without a password it is none. */
static const char *
find_basic_weakness(struct span text)
{
	const char *weakness = "is no user and password in base64";
	struct buf plain;

	buf_init(&plain, text.n + 1);
	if (sign_base64_decode(text, &plain, NULL) == OK) {
		struct span pair = buf_span(&plain);
		size_t at = span_find(pair, ':');
		if (at < pair.n)
			weakness = find_weakness(span_from(pair, at + 1));
		mem_wipe(plain.p, plain.n);
	}
	buf_fini(&plain);
	return weakness;
}

/* A scheme before the credential, as in "Bearer ...", is no part of it. */
static const char *
find_header_weakness(struct span value)
{
	size_t at = span_find(value, ' ');
	struct span scheme = span_of(value.p, at);

	if (at == value.n)
		return find_weakness(value);
	struct span credential = span_trim(span_from(value, at));
	return span_eq_nocase(scheme, SPAN_LIT("Basic")) ? find_basic_weakness(credential)
							 : find_weakness(credential);
}

/* What the collector is shown. No decision depends on it, so nothing fails for it. */
static enum finding
judge_telemetry_headers(struct doctor *d, size_t *n_judged)
{
	const struct telemetry_section *t = d->in->telemetry;

	if (t == NULL || !t->enabled)
		return FINDING_PASS;
	for (size_t i = 0; i < t->headers.n; i++) {
		const struct config_pair *h = &t->headers.v[i];
		if (!is_credential(h->key))
			continue;
		const char *weakness = find_header_weakness(h->value);
		(*n_judged)++;
		if (weakness != NULL)
			return doctor_say(d, FINDING_ADVICE,
				"the credential in telemetry.headers, \"%.*s\", %s",
				SPAN_ARG(h->key), weakness);
	}
	return FINDING_PASS;
}

/* Those that other programs share with the gateway. */
enum finding
check_shared_secrets(struct doctor *d)
{
	const struct approvals_section *a = &d->in->pipeline->approvals;
	const struct {
		struct span secret;
		const char *what;
	} all[] = {{d->in->audit->webhook.secret, "audit.webhook"},
		{a->webhook_token, "approvals.webhook_token"},
		{a->slack_token, "approvals.slack_token"},
		{a->teams_token, "approvals.teams_token"},
		{a->relay.generic.token, "approvals.relay.generic"},
		{a->relay.slack.token, "approvals.relay.slack"},
		{a->relay.teams.token, "approvals.relay.teams"}};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].secret.n == 0)
			continue;
		n++;
		if (judge_secret(d, all[i].secret, all[i].what, SPAN_NONE) != FINDING_PASS)
			return FINDING_FAIL;
	}
	for (size_t i = 0; i < a->notify.n; i++) {
		const struct approval_notify_section *r = &a->notify.v[i];
		n += r->secret.n > 0 ? 1 : 0;
		if (r->secret.n > 0 &&
			judge_secret(d, r->secret, "the receiver \"", r->name) != FINDING_PASS)
			return FINDING_FAIL;
	}
	if (judge_telemetry_headers(d, &n) != FINDING_PASS)
		return FINDING_ADVICE;
	return doctor_say(d, FINDING_PASS, "%zu in use", n);
}

enum finding
check_key_expiry(struct doctor *d)
{
	const struct identity_section *o = &d->in->pipeline->identity;
	int64_t now = clock_wall_ns();
	size_t n_ends = 0;

	for (size_t i = 0; i < o->hashed_keys.n; i++) {
		const struct identity_key_section *key = &o->hashed_keys.v[i];
		int64_t end = 0;

		if (key->expires.n == 0)
			continue;
		n_ends++;
		if (clock_parse(key->expires, &end, NULL) != OK || end <= now)
			return doctor_say(d, FINDING_ADVICE, "the key %.*s of \"%.*s\" has expired",
				SPAN_ARG(key->id), SPAN_ARG(key->principal));
		if (end - now < KEY_SOON_DAYS * DAY_NS)
			return doctor_say(d, FINDING_ADVICE,
				"the key %.*s of \"%.*s\" expires in %" PRId64 " hours",
				SPAN_ARG(key->id), SPAN_ARG(key->principal),
				(end - now) / (3600 * NS_PER_SEC));
	}
	return doctor_say(
		d, FINDING_PASS, "%zu of %zu hashed keys have an end", n_ends, o->hashed_keys.n);
}
