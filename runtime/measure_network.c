/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See measure.h: the ways out of this host, from interfaces, routes and addresses. What a firewall or a network policy does to them is
 * not seen without sending something, which nobody does here.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "measure.h"

#define PATH_BYTES 4200
/* Flags of a route, as linux/route.h has them. */
#define ROUTE_UP 0x1u
#define ROUTE_REJECTS 0x200u

static unsigned
read_flags(struct span text)
{
	unsigned v = 0;

	for (size_t i = 0; i < text.n && i < 8; i++) {
		char c = text.p[i];
		v = v << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return v;
}

static bool
are_zeros(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '0')
			return false;
	}
	return text.n > 0;
}

static void
keep_route(struct measured_host *out, struct span interface, bool is_default)
{
	if (out->way_out[0] == '\0' || (is_default && !out->has_default_route))
		snprintf(out->way_out, sizeof(out->way_out), "%.*s", SPAN_ARG(interface));
	out->has_default_route = out->has_default_route || is_default;
}

static void
split(struct span line, struct span *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		words[i] = measure_next_word(&line);
}

static bool
leads_out(struct span interface, struct span flags)
{
	unsigned v = read_flags(flags);

	return interface.n > 0 && !span_eq_cstr(interface, "lo") && (v & ROUTE_UP) != 0 &&
	       (v & ROUTE_REJECTS) == 0;
}

/* Interface, destination, gateway, flags, three numbers, mask; a heading, whose flags are none. */
static void
read_route(const char *root, struct span line, struct measured_host *out)
{
	struct span w[8];

	(void)root;
	split(line, w, ARRAY_LEN(w));
	if (!span_eq_cstr(w[0], "Iface") && leads_out(w[0], w[3]))
		keep_route(out, w[0], are_zeros(w[1]) && are_zeros(w[7]));
}

/* Destination, length, source, length, next hop, metric, two counts, flags, interface. */
static void
read_route6(const char *root, struct span line, struct measured_host *out)
{
	struct span w[10];

	(void)root;
	split(line, w, ARRAY_LEN(w));
	if (leads_out(w[9], w[8]))
		keep_route(out, w[9], are_zeros(w[0]) && are_zeros(w[1]));
}

/* "  eth0: 1 2 3 ..." */
static void
read_interface(const char *root, struct span line, struct measured_host *out)
{
	char path[PATH_BYTES];
	char name[MEASURE_NAME_MAX];
	struct stat st;
	size_t at = span_find(line, ':');
	struct span interface = span_trim(span_of(line.p, at));

	if (at == line.n || out->device[0] != '\0')
		return;
	snprintf(name, sizeof(name), "%.*s", SPAN_ARG(interface));
	int n = snprintf(path, sizeof(path), "%s/sys/class/net/%s/device", root, name);
	if (n > 0 && (size_t)n < sizeof(path) && stat(path, &st) == 0)
		snprintf(out->device, sizeof(out->device), "%s", name);
}

typedef void (*line_fn)(const char *root, struct span line, struct measured_host *out);

static bool
each_line(const char *root, const char *path, line_fn visit, struct measured_host *out)
{
	struct buf text;
	struct span line;
	bool is_read = measure_read(root, path, &text);
	struct span rest = buf_span(&text);

	while (is_read && measure_next_line(&rest, &line))
		visit(root, line, out);
	buf_fini(&text);
	return is_read;
}

/* Another table of routes than the main one is not in /proc/net/route; what it is for has an address. */
static enum measured
has_address(const char *root)
{
	struct buf text;
	struct span line;
	struct span leaf = SPAN_NONE;
	bool is_found = false;

	bool is_read = measure_read(root, "/proc/net/fib_trie", &text);
	struct span rest = buf_span(&text);
	while (is_read && !is_found && measure_next_line(&rest, &line)) {
		line = span_trim(line);
		if (span_starts(line, SPAN_LIT("|-- ")))
			leaf = span_from(line, 4);
		is_found = span_ends(line, SPAN_LIT("host LOCAL")) &&
			   !span_starts(leaf, SPAN_LIT("127."));
	}
	buf_fini(&text);
	if (!is_read)
		return MEASURED_NOT;
	return is_found ? MEASURED_YES : MEASURED_NO;
}

void
measure_network(const char *root, struct measured_host *out)
{
	char path[PATH_BYTES];
	struct stat st;

	out->has_interfaces = each_line(root, "/proc/net/dev", read_interface, out);
	bool has_routes = each_line(root, "/proc/net/route", read_route, out);
	/* A kernel without IPv6 has no such file; one that hides it has the other one neither. */
	bool has_routes6 = each_line(root, "/proc/net/ipv6_route", read_route6, out) ||
			   (measure_join(root, "/proc/net/ipv6_route", path, sizeof(path)) &&
				   stat(path, &st) != 0);
	if (out->way_out[0] != '\0')
		out->is_closed = MEASURED_NO;
	else if (out->has_interfaces && has_routes && has_routes6 &&
		 has_address(root) == MEASURED_NO)
		out->is_closed = MEASURED_YES;
}
