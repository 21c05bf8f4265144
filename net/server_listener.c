/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening sockets of a server, each with an engine of its own. An engine outlives its socket: the connections
 * that came from it are the engine's. Runs on the loop's thread.
 */
#include <unistd.h>

#include "base/mem.h"
#include "base/must.h"
#include "server.h"

/* *out has taken own_fd when this succeeds. */
static enum err
make_listener(struct http_server *s, int own_fd, const struct http_listen_options *o,
	struct server_listener **out, struct errinfo *ei)
{
	struct server_listener *l = mem_zalloc(1, sizeof(*l));

	if (l == NULL) {
		close(own_fd);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	l->server = s;
	if (o != NULL)
		l->options = *o;
	enum err rc = engine_new(l, ei);
	if (rc != OK)
		close(own_fd);
	else
		rc = engine_listen(l, own_fd, ei);
	if (rc == OK) {
		*out = l;
		return OK;
	}
	engine_free(l);
	mem_free(l);
	return rc;
}

enum err
server_listen(
	struct http_server *s, int own_fd, const struct http_listen_options *o, struct errinfo *ei)
{
	if (s->n_listeners == HTTP_SERVER_LISTENERS_MAX) {
		close(own_fd);
		return ERR(ei, ERR_TOO_LARGE, "more than %d addresses", HTTP_SERVER_LISTENERS_MAX);
	}
	enum err rc = make_listener(s, own_fd, o, &s->listeners[s->n_listeners], ei);
	if (rc != OK)
		return rc;
	s->n_listeners++;
	s->is_accepting = true;
	if (s->is_paused)
		server_set_accepting(s, false);
	return OK;
}

void
server_close_listeners(struct http_server *s)
{
	s->is_accepting = false;
	for (size_t i = 0; i < s->n_listeners; i++)
		engine_close_listener(s->listeners[i]);
}

void
server_set_accepting(struct http_server *s, bool is_on)
{
	if (!s->is_accepting)
		return;
	for (size_t i = 0; i < s->n_listeners; i++)
		engine_set_accepting(s->listeners[i], is_on);
}

bool
server_prepare(struct http_server *s)
{
	bool has_all = true;

	for (size_t i = 0; i < s->n_listeners; i++)
		has_all = engine_prepare(s->listeners[i]) && has_all;
	return has_all;
}

bool
server_has_spares(const struct http_server *s)
{
	for (size_t i = 0; i < s->n_listeners; i++) {
		if (s->listeners[i]->spare == NULL)
			return false;
	}
	return true;
}

void
server_free_listeners(struct http_server *s)
{
	/* The sockets go first: the end of a connection may want to switch them on. */
	s->is_accepting = false;
	for (size_t i = 0; i < s->n_listeners; i++)
		engine_free(s->listeners[i]);
	for (size_t i = 0; i < s->n_listeners; i++)
		mem_free(s->listeners[i]);
	s->n_listeners = 0;
}
