/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing HTTP for threads that may block (webhook sink, notices); never on a loop. http and
 * https only, TLS certificates verified, no redirects, no proxy from the environment, no cookies,
 * no credentials from files. Each client keeps its connection between calls and belongs to one
 * thread at a time; http_client_stop may come from any.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "net/http.h"

struct buf;
struct http_client;

/* http_client_options_init gives the defaults. */
struct http_client_options {
	int64_t connect_timeout_ns; /* name, TCP and TLS; 5 s */
	int64_t total_timeout_ns;   /* the whole exchange; 10 s */
	size_t max_reply_bytes;     /* of the reply's body; more fails the call; 64 KiB */
	const char *ca_file;        /* PEM; NULL: the system's; copied */
	const char *cert_file; /* PEM, shown when the server asks for one; NULL: none; copied */
	const char *key_file;  /* its key, without a passphrase; NULL: in cert_file; copied */
	/* False: link-local and cloud metadata addresses are refused, after resolving. */
	bool allow_link_local;
};

void http_client_options_init(struct http_client_options *o);

/* Checks url without connecting: http or https, a host, no userinfo. ERR_INVALID. */
MUSTCHECK enum err http_client_check_url(struct span url, struct errinfo *ei);

/* ERR_NOMEM, ERR_IO (libcurl cannot start). */
MUSTCHECK enum err http_client_new(
	const struct http_client_options *options, struct http_client **out, struct errinfo *ei);
void http_client_free(struct http_client **c);

/*
 * POSTs body and waits for the answer. *status (0 on failure) is the final HTTP status, whatever
 * it is: OK says only that one came. Content-Length is set here; Content-Type is the caller's.
 * ERR_INVALID (URL, header), ERR_FORBIDDEN (address refused), ERR_TIMEOUT, ERR_STOPPED,
 * ERR_TOO_LARGE, ERR_IO. Messages name no header values.
 */
MUSTCHECK enum err http_client_post(struct http_client *c, struct span url,
	const struct http_header *headers, size_t n_headers, struct span body, unsigned *status,
	struct errinfo *ei);
/* One request and its answer. */
struct http_call {
	bool is_get; /* GET without a body; POST otherwise */
	struct span url;
	const char *
		unix_path; /* the socket that is connected to in place of the URL's host; NULL: none */
	const struct http_header *headers;
	size_t n_headers;
	struct span body;
	/* Gets the answer's body, up to max_reply_bytes and its own cap; NULL: dropped. */
	struct buf *reply;
	unsigned status;       /* set by the call, as what follows */
	int64_t retry_after_s; /* of the answer's Retry-After; 0: none */
};
/* As http_client_post, which is the same for a POST whose answer nobody reads. On failure reply
 * may hold a part. */
MUSTCHECK enum err http_client_call(
	struct http_client *c, struct http_call *call, struct errinfo *ei);
/* Any thread: a running call ends with ERR_STOPPED within a second, later ones at once. */
void http_client_stop(struct http_client *c);

#endif
