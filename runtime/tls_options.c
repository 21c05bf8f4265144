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

enum err
gateway_section_build_tls(
	const struct gateway_section *gateway, struct tls_keeper **out, struct errinfo *ei)
{
	const struct gateway_tls_section *t = &gateway->tls;
	struct tls_pair pairs[TLS_PAIRS_MAX] = {{.cert_file = path_of(t->cert_file),
		.key_file = path_of(t->key_file),
		.ocsp_file = path_of(t->ocsp_file)}};
	const struct tls_options o = {
		.pairs = pairs,
		.n_pairs = 1 + t->certificates.n,
		.client_ca_file = path_of(t->client_ca_file),
		.client_auth = choose_client_auth(t),
		.needs_tls13 = t->min_version == GATEWAY_TLS_13,
		.ticket_lifetime_s = t->ticket_lifetime_seconds,
	};

	*out = NULL;
	if (!is_asked_for(gateway))
		return OK;
	for (size_t i = 0; i < t->certificates.n; i++)
		pairs[1 + i] = (struct tls_pair){.cert_file = t->certificates.v[i].cert_file.p,
			.key_file = t->certificates.v[i].key_file.p,
			.ocsp_file = path_of(t->certificates.v[i].ocsp_file)};
	enum err rc = tls_keeper_new(&o, out, ei);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "gateway.tls");
}
