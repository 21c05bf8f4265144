/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the credential and signs. A key or secret never gets into a message. Who else may read
 * the files is doctor's matter. One thread.
 */
#include "credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/mem.h"
#include "fresh_key.h"
#include "options.h"
#include "pipeline/signed_form.h"

#define SECRET_FILE_BYTES_MAX 4096
#define SECRET_ROOM (SECRET_FILE_BYTES_MAX + 64)

static void
wipe_buf(struct buf *b)
{
	if (b->p != NULL)
		mem_wipe(b->p, b->size);
	buf_fini(b);
}

/* One line of text, the white space around it taken off; room for all of it is there, so no
 * copy is left behind. */
static enum err
add_secret_file(const char *path, struct buf *out, struct errinfo *ei)
{
	size_t begin = out->n;
	enum err rc = fdio_read_file(path, SECRET_FILE_BYTES_MAX, out, ei);

	if (rc != OK)
		return rc;
	struct span text = span_trim(span_from(buf_span(out), begin));
	if (text.n == 0 || !http_is_header_value(text))
		return ERR(ei, ERR_INVALID, "%s: not one line of text", path);
	memmove(out->p + begin, text.p, text.n);
	buf_truncate(out, begin + text.n);
	return OK;
}

/* keys/NAME beside the configuration; *path is for messages. */
static enum err
add_key_beside(const struct credentials_flags *flags, struct credentials *c, const char *name,
	const char **path, struct errinfo *ei)
{
	const char *folder = config_folder(flags->config, c->config->arena);

	*path = folder == NULL ? NULL : fdio_join(c->config->arena, folder, span_cstr(name));
	if (*path == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return add_secret_file(*path, &c->authorization, ei);
}

static enum err
add_operator_key(const struct credentials_flags *flags, struct credentials *c, struct errinfo *ei)
{
	const char *path;
	enum err rc = add_key_beside(flags, c, "keys/operator", &path, ei);

	if (rc != ERR_NOT_FOUND)
		return rc;
	return ERR(ei, ERR_NOT_FOUND,
		"no API key: give --key-file, or NOMOS_API_KEY, or put it in %s", path);
}

static enum err
add_default_key(const struct credentials_flags *flags, struct credentials *c, struct errinfo *ei)
{
	const struct identity_section *o = &c->config->options.identity;
	const char *path;
	enum err rc = add_key_beside(flags, c, "keys/agent", &path, ei);

	if (rc != ERR_NOT_FOUND)
		return rc;
	for (size_t i = 0; i < o->api_keys.n; i++) {
		if (!span_eq(o->api_keys.v[i].value, o->principal))
			continue;
		buf_add_span(&c->authorization, o->api_keys.v[i].key);
		return OK;
	}
	return ERR(ei, ERR_NOT_FOUND,
		"no API key: give --key-file, or NOMOS_API_KEY, or put it in %s", path);
}

static enum err
add_key(const struct credentials_flags *flags, struct credentials *c, bool is_operator,
	struct errinfo *ei)
{
	struct span from_env = span_trim(span_cstr(getenv("NOMOS_API_KEY")));

	BUF_ADD_LIT(&c->authorization, "Bearer ");
	if (flags->key_file != NULL)
		return add_secret_file(flags->key_file, &c->authorization, ei);
	if (from_env.n > 0 && !http_is_header_value(from_env))
		return ERR(ei, ERR_INVALID, "NOMOS_API_KEY is not one line of text");
	if (from_env.n > 0) {
		buf_add_span(&c->authorization, from_env);
		return OK;
	}
	if (c->config == NULL)
		return ERR(ei, ERR_INVALID,
			"no API key: give --config/-c FILE (or NOMOS_CONFIG), --key-file FILE or "
			"NOMOS_API_KEY");
	return is_operator ? add_operator_key(flags, c, ei) : add_default_key(flags, c, ei);
}

static enum err
add_agent_key(const char *path, struct credentials *c, struct errinfo *ei)
{
	struct buf pem;

	buf_init(&pem, SECRET_ROOM);
	if (buf_reserve(&pem, SECRET_ROOM) == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = fdio_read_file(path, SECRET_FILE_BYTES_MAX, &pem, ei);
	if (rc == OK && sign_key_parse_private(buf_span(&pem), &c->agent_key, ei) != OK)
		rc = ERR_WRAP(ei, ERR_INVALID, "%s", path);
	wipe_buf(&pem);
	return rc;
}

/* As asked for; else the one that the gateway takes. */
static enum err
choose_version(const struct credentials_flags *flags, struct credentials *c, struct errinfo *ei)
{
	const struct identity_section *o = c->config != NULL ? &c->config->options.identity : NULL;

	if (flags->version == NULL)
		c->is_v1 = o != NULL && !config_strings_has(&o->signature_versions, SPAN_LIT("v2"));
	else if (strcmp(flags->version, "v1") == 0 || strcmp(flags->version, "v2") == 0)
		c->is_v1 = flags->version[1] == '1';
	else
		return ERR(ei, ERR_INVALID, "--signature %s is neither v1 nor v2", flags->version);
	if (c->is_v1 && c->agent_key != NULL)
		return ERR(ei, ERR_INVALID, "--agent-key-file signs with v2 only");
	return OK;
}

static enum err
add_agent(const struct credentials_flags *flags, struct credentials *c, struct errinfo *ei)
{
	const struct identity_section *o = c->config != NULL ? &c->config->options.identity : NULL;

	c->agent = flags->agent != NULL ? span_trim(span_cstr(flags->agent))
					: (o != NULL ? o->agent : SPAN_NONE);
	if (c->agent.n == 0 || !http_is_header_value(c->agent))
		return ERR(ei, ERR_INVALID,
			"no agent: give --agent, or --config/-c with identity.agent");
	if (flags->agent_key_file != NULL)
		return add_agent_key(flags->agent_key_file, c, ei);
	if (flags->secret_file != NULL)
		return add_secret_file(flags->secret_file, &c->secret, ei);
	struct span secret = o != NULL ? config_map_find(&o->agent_secrets, c->agent) : SPAN_NONE;
	if (secret.n == 0)
		return ERR(ei, ERR_NOT_FOUND,
			"no secret of the agent \"%.*s\": give --agent-secret-file, or --config/-c "
			"with "
			"identity.agent_secrets",
			SPAN_ARG(c->agent));
	buf_add_span(&c->secret, secret);
	return OK;
}

static enum err
load(const struct credentials_flags *flags, bool is_operator, struct credentials *out,
	struct errinfo *ei)
{
	enum err rc = OK;

	*out = (struct credentials){.config = NULL};
	buf_init(&out->authorization, SECRET_ROOM * 2);
	buf_init(&out->secret, SECRET_ROOM * 2);
	/* The room at once: growing would leave copies of what is wiped later. */
	if (buf_reserve(&out->authorization, SECRET_ROOM) == NULL ||
		buf_reserve(&out->secret, SECRET_ROOM) == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (flags->config != NULL) {
		rc = loaded_config_read(flags->config, NULL, &out->config, ei);
		if (rc != OK && out->config != NULL)
			loaded_config_print(out->config);
	}
	if (rc == OK)
		rc = add_key(flags, out, is_operator, ei);
	if (rc == OK && !is_operator)
		rc = add_agent(flags, out, ei);
	if (rc == OK && !is_operator)
		rc = choose_version(flags, out, ei);
	if (rc == OK && (buf_failed(&out->authorization) || buf_failed(&out->secret)))
		rc = ERR(ei, ERR_TOO_LARGE, "the key or the secret is too long");
	return rc;
}

enum err
credentials_load(const struct credentials_flags *flags, struct credentials *out, struct errinfo *ei)
{
	return load(flags, false, out, ei);
}

enum err
credentials_load_operator(
	const struct credentials_flags *flags, struct credentials *out, struct errinfo *ei)
{
	return load(flags, true, out, ei);
}

const struct gateway_section *
credentials_view_gateway(const struct credentials *c)
{
	return c->config != NULL ? &c->config->options.gateway : NULL;
}

void
credentials_wipe(struct credentials *c)
{
	wipe_buf(&c->authorization);
	wipe_buf(&c->secret);
	sign_key_free(&c->agent_key);
	loaded_config_free(&c->config);
}

static void
put_mac(const uint8_t mac[SHA256_BYTES], const char *prefix, char *out)
{
	size_t n = strlen(prefix);

	memcpy(out, prefix, n);
	hash_hex(mac, SHA256_BYTES, out + n);
}

static enum err
sign_form(struct credentials *c, const struct signed_form *form, struct errinfo *ei)
{
	static const char prefix[] = "v2ed=";
	char room[SIGNED_FORM_BYTES_MAX];
	uint8_t raw[SIGN_ED25519_BYTES];
	struct span text;

	if (c->agent_key == NULL) {
		uint8_t mac[SHA256_BYTES];

		signed_form_mac(form, buf_span(&c->secret), mac);
		put_mac(mac, "v2=", c->signature);
		return OK;
	}
	text = signed_form_write(form, room);
	if (text.p == NULL)
		return ERR(ei, ERR_TOO_LARGE, "the path or the key is too long to be signed");
	enum err rc = sign_ed25519(c->agent_key, text, raw, ei);
	memcpy(c->signature, prefix, sizeof(prefix) - 1);
	hash_hex(raw, sizeof(raw), c->signature + sizeof(prefix) - 1);
	return rc;
}

static enum err
sign_v2(struct credentials *c, const struct credentials_request *r, struct errinfo *ei)
{
	struct signed_form form;
	enum err rc = fresh_hex(CREDENTIALS_NONCE_BYTES, c->nonce, ei);

	if (rc != OK)
		return rc;
	snprintf(c->timestamp, sizeof(c->timestamp), "%lld",
		(long long)(clock_wall_ns() / NS_PER_SEC));
	form = (struct signed_form){
		.method = span_cstr(r->method),
		.target = r->target,
		.timestamp = span_cstr(c->timestamp),
		.nonce = span_cstr(c->nonce),
		.idempotency_key = r->idempotency_key,
	};
	signed_form_set_body(&form, r->body);
	return sign_form(c, &form, ei);
}

enum err
credentials_sign(struct credentials *c, const struct credentials_request *request,
	struct http_header headers[CREDENTIALS_HEADERS], size_t *n_headers, struct errinfo *ei)
{
	size_t n = 0;
	enum err rc = OK;

	*n_headers = 0;
	if (c->is_v1) {
		uint8_t mac[SHA256_BYTES];

		hash_hmac_sha256(buf_span(&c->secret), request->body, mac);
		put_mac(mac, "", c->signature);
	} else {
		rc = sign_v2(c, request, ei);
	}
	if (rc != OK)
		return rc;
	headers[n++] = (struct http_header){SPAN_LIT("Authorization"), buf_span(&c->authorization)};
	headers[n++] = (struct http_header){SPAN_LIT("X-Nomos-Agent-Id"), c->agent};
	if (!c->is_v1) {
		headers[n++] = (struct http_header){
			SPAN_LIT("X-Nomos-Timestamp"), span_cstr(c->timestamp)};
		headers[n++] = (struct http_header){SPAN_LIT("X-Nomos-Nonce"), span_cstr(c->nonce)};
	}
	headers[n++] =
		(struct http_header){SPAN_LIT("X-Nomos-Agent-Signature"), span_cstr(c->signature)};
	headers[n++] = (struct http_header){SPAN_LIT("Content-Type"), SPAN_LIT("application/json")};
	if (request->idempotency_key.n > 0)
		headers[n++] =
			(struct http_header){SPAN_LIT("Idempotency-Key"), request->idempotency_key};
	*n_headers = n;
	return OK;
}
