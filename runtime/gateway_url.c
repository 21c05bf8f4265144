/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The address of the gateway as a client on this host sees it. Pure; any thread. */
#include <stdio.h>

#include "net/listener.h"
#include "runtime/options.h"

enum err
gateway_section_build_url(const struct gateway_section *gateway, const char *path, char *out,
	size_t size, struct errinfo *ei)
{
	struct listener_addr addr;
	char text[LISTENER_TEXT_MAX];
	enum err rc = listener_parse(gateway->listen, &addr, ei);
	int n = 0;

	out[0] = '\0';
	if (rc != OK)
		return rc;
	if (addr.port == 0)
		return ERR(ei, ERR_INVALID, "gateway.listen has port 0, which is chosen at start");
	listener_format(&addr, text);
	/* All addresses, IPv6 with or without IPv4: the name of loopback stands for both. */
	if (addr.is_any)
		n = snprintf(out, size, "http://localhost:%u%s", (unsigned)addr.port, path);
	else
		n = snprintf(out, size, "http://%s%s", text, path);
	if (n < 0 || (size_t)n >= size)
		return ERR(ei, ERR_TOO_LARGE, "the URL is too long");
	return OK;
}
