/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reads gateway.listeners. Start-up and reload; pure. */
#include "runtime/listener_options.h"

#include <stdio.h>
#include <string.h>

#include "runtime/options.h"

#define MODE_DEFAULT 0600
#define MODE_MAX 0777

static const char *const role_names[] = {"api", "ui", "metrics", "admin", "health"};

static unsigned
read_roles(const struct config_strings *words)
{
	unsigned roles = 0;

	for (size_t i = 0; i < words->n; i++) {
		for (unsigned k = 0; k < ARRAY_LEN(role_names); k++) {
			if (span_eq_cstr(words->v[i], role_names[k]))
				roles |= 1u << k;
		}
	}
	return roles;
}

void
listener_roles_format(unsigned roles, char out[LISTENER_ROLES_TEXT_MAX])
{
	size_t n = 0;

	snprintf(out, LISTENER_ROLES_TEXT_MAX, "all");
	for (unsigned k = 0; k < ARRAY_LEN(role_names); k++) {
		if ((roles & (1u << k)) == 0)
			continue;
		int wrote = snprintf(out + n, LISTENER_ROLES_TEXT_MAX - n, "%s%s", n > 0 ? "," : "",
			role_names[k]);
		n += wrote > 0 ? (size_t)wrote : 0;
	}
}

/* Octal digits, "0660". */
static bool
read_mode(struct span text, mode_t *out)
{
	mode_t mode = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '7')
			return false;
		mode = mode * 8 + (mode_t)(text.p[i] - '0');
	}
	*out = text.n > 0 ? mode : MODE_DEFAULT;
	return mode <= MODE_MAX;
}

/* It is also the name of a descriptor, which ':' would end. */
static bool
is_name(struct span name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		bool is_letter =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!is_letter && c != '-' && c != '_' && c != '.')
			return false;
	}
	return name.n > 0;
}

static enum err
read_tls(const struct listener_section *s, const struct gateway_tls_section *tls,
	struct runtime_listener *out, struct errinfo *ei)
{
	bool is_tcp = out->addr.kind != LISTENER_UNIX;

	out->tls = s->tls == LISTENER_TLS_ON ||
		   (s->tls == LISTENER_TLS_AUTO && tls->enabled && is_tcp);
	if (out->tls && !tls->enabled)
		return ERR(
			ei, ERR_INVALID, "%.*s: tls needs gateway.tls.enabled", SPAN_ARG(s->name));
	return OK;
}

/* A certificate comes behind the PROXY header, too late to say who may send one. */
static bool
has_addresses(const struct config_strings *proxies)
{
	struct trusted_proxies trusted = {.n = 0};
	struct errinfo ei;

	for (size_t i = 0; i < proxies->n; i++) {
		if (trusted_proxies_add(&trusted, proxies->v[i], &ei) != OK)
			return true; /* which is said of the list itself */
	}
	return trusted.n > 0 || trusted.has_unix;
}

static enum err
read_one(const struct listener_section *s, const struct gateway_section *gateway,
	struct runtime_listener *out, struct errinfo *ei)
{
	*out = (struct runtime_listener){.name = s->name,
		.roles = read_roles(&s->roles),
		.proxy_protocol = s->proxy_protocol,
		.owner = s->owner,
		.group = s->group};
	if (!is_name(s->name))
		return ERR(ei, ERR_INVALID, "the name has letters, digits, '-', '_' and '.'");
	enum err rc = listener_parse(s->listen, &out->addr, ei);
	if (rc != OK)
		return ERR_WRAP(ei, rc, "%.*s", SPAN_ARG(s->name));
	if (!read_mode(s->mode, &out->mode))
		return ERR(ei, ERR_INVALID, "%.*s: the mode is not one of 0 to 0777",
			SPAN_ARG(s->name));
	if (out->addr.kind != LISTENER_UNIX && (s->mode.n > 0 || s->owner.n > 0 || s->group.n > 0))
		return ERR(ei, ERR_INVALID, "%.*s: only a unix socket has mode, owner and group",
			SPAN_ARG(s->name));
	if (s->proxy_protocol && !has_addresses(&gateway->trusted_proxies))
		return ERR(ei, ERR_INVALID,
			"%.*s: proxy_protocol needs addresses in gateway.trusted_proxies, or "
			"nobody may connect",
			SPAN_ARG(s->name));
	return read_tls(s, &gateway->tls, out, ei);
}

/* Port 0 is another port each time. */
static bool
is_same_place(const struct listener_addr *a, const struct listener_addr *b)
{
	if (a->kind != b->kind || (a->kind == LISTENER_TCP && a->port == 0))
		return false;
	return a->port == b->port && a->is_ipv4 == b->is_ipv4 && strcmp(a->path, b->path) == 0 &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 &&
	       (a->kind != LISTENER_INHERITED || a->path[0] != '\0');
}

static enum err
check_pairs(const struct runtime_listeners *l, struct errinfo *ei)
{
	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (span_eq(l->v[i].name, l->v[k].name))
				return ERR(ei, ERR_CONFLICT, "two are named %.*s",
					SPAN_ARG(l->v[i].name));
			if (is_same_place(&l->v[i].addr, &l->v[k].addr))
				return ERR(ei, ERR_CONFLICT, "%.*s and %.*s have the same address",
					SPAN_ARG(l->v[k].name), SPAN_ARG(l->v[i].name));
		}
	}
	return OK;
}

enum err
runtime_listeners_build(
	const struct gateway_section *gateway, struct runtime_listeners *out, struct errinfo *ei)
{
	enum err rc = OK;

	*out = (struct runtime_listeners){.n = 0};
	if (gateway->listeners.n == 0) {
		out->n = 1;
		out->v[0].mode = MODE_DEFAULT;
		rc = listener_parse(gateway->listen, &out->v[0].addr, ei);
		out->v[0].tls = gateway->tls.enabled && out->v[0].addr.kind != LISTENER_UNIX;
		return rc == OK ? OK : ERR_WRAP(ei, rc, "gateway.listen");
	}
	for (size_t i = 0; i < gateway->listeners.n && rc == OK; i++) {
		rc = read_one(&gateway->listeners.v[i], gateway, &out->v[i], ei);
		out->n++;
	}
	if (rc == OK)
		rc = check_pairs(out, ei);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "gateway.listeners");
}

const struct runtime_listener *
runtime_listeners_find(const struct runtime_listeners *l, enum listener_role role)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct runtime_listener *one = &l->v[i];
		if (one->addr.kind == LISTENER_TCP && !one->proxy_protocol &&
			(one->roles == 0 || (one->roles & (unsigned)role) != 0))
			return one;
	}
	return NULL;
}
