/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The address of the gateway as a client on this host sees it. Pure; any thread. */
#include <stdio.h>
#include <string.h>

#include "net/listener.h"
#include "runtime/listener_options.h"
#include "runtime/options.h"

/* What of the routes is asked for by the path, as route_tbl.h has it. */
static enum listener_role
find_role(const char *path)
{
	static const struct {
		const char *prefix;
		enum listener_role role;
	} roles[] = {{"/api/ui/", LISTENER_UI}, {"/ui/", LISTENER_UI}, {"/admin/", LISTENER_ADMIN},
		{"/metrics", LISTENER_METRICS}, {"/healthz", LISTENER_HEALTH},
		{"/readyz", LISTENER_HEALTH}, {"/version", LISTENER_HEALTH}};

	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		if (span_starts(span_cstr(path), span_cstr(roles[i].prefix)))
			return roles[i].role;
	}
	return LISTENER_API;
}

enum err
gateway_section_build_url(const struct gateway_section *gateway, const char *path, char *out,
	size_t size, struct errinfo *ei)
{
	struct runtime_listeners listeners;
	char text[LISTENER_TEXT_MAX];
	enum err rc = runtime_listeners_build(gateway, &listeners, ei);
	int n = 0;

	out[0] = '\0';
	if (rc != OK)
		return rc;
	const struct runtime_listener *l = runtime_listeners_find(&listeners, find_role(path));
	if (l == NULL)
		return ERR(ei, ERR_INVALID,
			"no listener with an address in the configuration answers %s", path);
	if (l->addr.port == 0)
		return ERR(ei, ERR_INVALID, "gateway.listen has port 0, which is chosen at start");
	listener_format(&l->addr, text);
	const char *scheme = l->tls ? "https" : "http";
	/* All addresses, IPv6 with or without IPv4: the name of loopback stands for both. */
	if (l->addr.is_any)
		n = snprintf(
			out, size, "%s://localhost:%u%s", scheme, (unsigned)l->addr.port, path);
	else
		n = snprintf(out, size, "%s://%s%s", scheme, text, path);
	if (n < 0 || (size_t)n >= size)
		return ERR(ei, ERR_TOO_LARGE, "the URL is too long");
	return OK;
}

bool
gateway_section_find_unix(const struct gateway_section *gateway, const char *path,
	char out[LISTENER_PATH_MAX], bool *is_tls)
{
	struct runtime_listeners listeners;
	enum listener_role role = find_role(path);
	struct errinfo ei;

	out[0] = '\0';
	*is_tls = false;
	if (runtime_listeners_build(gateway, &listeners, &ei) != OK ||
		runtime_listeners_find(&listeners, role) != NULL)
		return false;
	for (size_t i = 0; i < listeners.n; i++) {
		const struct runtime_listener *l = &listeners.v[i];
		if (l->addr.kind != LISTENER_UNIX || l->proxy_protocol ||
			(l->roles != 0 && (l->roles & (unsigned)role) == 0))
			continue;
		memcpy(out, l->addr.path, sizeof(l->addr.path));
		*is_tls = l->tls;
		return true;
	}
	return false;
}
