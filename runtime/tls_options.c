/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What gateway.tls comes to. Reads the files it names; at start and for doctor. */
#include "runtime/listener_options.h"
#include "runtime/options.h"

static const char *
path_of(struct span path)
{
	return path.n > 0 ? path.p : NULL;
}

static bool
is_asked_for(const struct gateway_section *gateway)
{
	struct runtime_listeners listeners;
	struct errinfo ei;

	if (runtime_listeners_build(gateway, &listeners, &ei) != OK)
		return false;
	for (size_t i = 0; i < listeners.n; i++) {
		if (listeners.v[i].tls)
			return true;
	}
	return false;
}

static enum tls_client_auth
choose_client_auth(const struct gateway_tls_section *t)
{
	if (t->require_mtls)
		return TLS_CLIENT_REQUIRED;
	return t->client_ca_file.n > 0 ? TLS_CLIENT_OPTIONAL : TLS_CLIENT_NONE;
}

/* *o points to pairs and to the section. */
static void
read_options(const struct gateway_tls_section *t, struct tls_pair pairs[TLS_PAIRS_MAX],
	struct tls_options *o)
{
	pairs[0] = (struct tls_pair){.cert_file = path_of(t->cert_file),
		.key_file = path_of(t->key_file),
		.ocsp_file = path_of(t->ocsp_file)};
	for (size_t i = 0; i < t->certificates.n; i++)
		pairs[1 + i] = (struct tls_pair){.cert_file = t->certificates.v[i].cert_file.p,
			.key_file = t->certificates.v[i].key_file.p,
			.ocsp_file = path_of(t->certificates.v[i].ocsp_file)};
	*o = (struct tls_options){
		.pairs = pairs,
		.n_pairs = 1 + t->certificates.n,
		.client_ca_file = path_of(t->client_ca_file),
		.client_crl_file = path_of(t->client_crl_file),
		.client_auth = choose_client_auth(t),
		.needs_tls13 = t->min_version == GATEWAY_TLS_13,
		.ticket_lifetime_s = t->ticket_lifetime_seconds,
	};
}

enum err
gateway_section_build_tls(
	const struct gateway_section *gateway, struct tls_keeper **out, struct errinfo *ei)
{
	struct tls_pair pairs[TLS_PAIRS_MAX];
	struct tls_options o;

	*out = NULL;
	if (!is_asked_for(gateway))
		return OK;
	read_options(&gateway->tls, pairs, &o);
	enum err rc = tls_keeper_new(&o, out, ei);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "gateway.tls");
}

enum err
gateway_section_try_tls(
	const struct gateway_section *gateway, struct tls_context **out, struct errinfo *ei)
{
	struct tls_pair pairs[TLS_PAIRS_MAX];
	struct tls_options o;

	*out = NULL;
	if (!is_asked_for(gateway))
		return OK;
	read_options(&gateway->tls, pairs, &o);
	enum err rc = tls_context_try(&o, out, ei);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "gateway.tls");
}
