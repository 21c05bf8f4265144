/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server (RFC 9110, 9112) for one loop: one struct http_server per struct loop, on
 * listening sockets of its own (net/listener.h). Every byte passes the wire gate (net/gate.h)
 * first; what a handler sees was read by the gate, in one unambiguous form. All calls on the
 * thread that runs the loop, unless said otherwise.
 *
 * Life of a request: when its head is there and its body is not, options.look is called. It may
 * answer, or limit the body; if it does not answer, the body is read ("100 Continue" is sent if the
 * client waits for it). Once the whole body has arrived the request waits for its turn, in the place that
 * options.place gives it, and the handler is called. It either replies
 * before it returns, or calls http_request_defer and replies in any later turn of the loop,
 * exactly once. A request that is neither answered nor deferred gets 500. Everything borrowed
 * from a request is valid until http_request_reply is called.
 *
 * Counted here: METRIC_CONNECTIONS and its kin, METRIC_ACCEPT_PAUSES, METRIC_REPLIES_CUT,
 * METRIC_REQUESTS (each reply), METRIC_REQUESTS_REFUSED (what the gate refused).
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "net/http.h"

struct address_cap;
struct trusted_proxies;
struct http_request;
struct http_server;
struct loop;
struct net_peer;
struct tls_keeper;

/* With a request; arg is that of http_server_new. */
typedef void (*http_handler_fn)(struct http_request *req, void *arg);

/*
 * Who is served when more requests are whole than a turn of the loop can serve. Each turn serves a few of the first rank, a
 * few of the usual one and at least some of the last, each at most for some milliseconds; so none starves, and one of the first never waits for more than
 * a slice of the others. Within a rank flows take turns (those of one number modulo 64 are one flow), within a flow they are in order.
 */
enum http_rank { HTTP_RANK_USUAL = 0, HTTP_RANK_FIRST, HTTP_RANK_LAST, HTTP_RANK__MAX };

struct http_place {
	enum http_rank rank;
	uint64_t flow;
};

/* Called with a whole request when it begins to wait; must neither answer nor defer. */
typedef struct http_place (*http_place_fn)(struct http_request *req, void *arg);

/* http_server_options_init gives the defaults; nothing may be zero but where said. */
struct http_server_options {
	/* Request line and header lines together; 16 KiB, at most 1 MiB. */
	size_t max_headers_bytes;
	/* Request line alone; 8 KiB. */
	size_t max_line_bytes;
	/* Number of header lines; 100. */
	size_t max_headers;
	/* Decoded body; 64 KiB, at most 64 MiB; 0: no request may have one. */
	size_t max_body_bytes;
	/* From the first byte of a request to the end of its headers; 10 s. */
	int64_t header_deadline_ns;
	/* From the end of the headers to the end of the body; 30 s. */
	int64_t body_deadline_ns;
	/* From accept, or the end of a reply, to the next byte; 75 s. */
	int64_t idle_ns;
	/* A reply of which the client takes nothing for so long is cut; 30 s. */
	int64_t write_stall_ns;
	/* After http_server_stop_accepting: a request that is not whole after so long is refused,
	 * and a reply of which the client takes nothing for so long is cut; 5 s. */
	int64_t drain_ns;
	/* Bytes per second that a client has to send of its head and of its body, and to take of
	 * its reply, on the average since the grace was over; 256, 0: none, at most 1,000,000. */
	size_t min_rate;
	/* From the first byte, the end of the head, the beginning of the reply; 5 s. */
	int64_t rate_grace_ns;
	/* The last reply says close; 10,000; 0: no limit. */
	size_t max_requests_per_connection;
	/* At it, the connection that has waited longest for its client (a second at least) is
	 * closed in favour of those that are queued, with 503 when a request had begun; else
	 * accepting pauses. 0 (default): only the descriptors limit it. */
	size_t max_connections;
	/* Borrowed, shared with other servers; NULL (default): no cap per address. */
	struct address_cap *address_cap;
	/* Borrowed: who may say who its client is. NULL (default): nobody. */
	const struct trusted_proxies *trusted;
	/* Sees a request whose head has come without all of its body, once, before the body is
	 * waited for; not one that came whole. An answer given here has "Connection: close", and what
	 * the client still sends is thrown away, never read as a request. Must not defer. NULL
	 * (default): every body is waited for. */
	http_handler_fn look;
	/* NULL (default): all are of the usual rank and of one flow. */
	http_place_fn place;
	/* Sees each answer that is given (status, bytes of its body; a stream when it begins, 0), the last that is heard of the request
	 * but for a stream. Must not answer. NULL (default): nobody wants to know. */
	void (*on_answer)(
		const struct http_request *req, unsigned status, size_t body_n, void *arg);
	/* False: those who are not of the first rank wait until a reply was given, or for a moment. NULL (default): never. */
	bool (*may_serve)(void *arg);
};

void http_server_options_init(struct http_server_options *o);

/* The handler is called for each whole request. Copies *options. The loop must outlive the server. ERR_INVALID (options), ERR_NOMEM. */
MUSTCHECK enum err http_server_new(struct loop *loop, const struct http_server_options *options,
	http_handler_fn handler, void *arg, struct http_server **out, struct errinfo *ei);
/* What is particular to one listening socket; all zero is plain TCP for all roles. A TLS handshake has header_deadline_ns from accept. */
struct http_listen_options {
	unsigned roles; /* as net_peer.listener_roles; 0: all */
	/* Every connection begins with a PROXY header (version 1 or 2) of a trusted proxy, in clear before TLS, or is closed. */
	bool proxy_protocol;
	/* TLS is spoken on it (net/tls.h); borrowed, outlives the server. NULL: in clear. */
	struct tls_keeper *tls;
};

/* Accepts on own_fd, a listening socket (net/listener.h); the server closes it, also when this fails. Copies *o; NULL is all zero. May be called
 * again for another socket, HTTP_SERVER_LISTENERS_MAX times in all. ERR_NOMEM, ERR_IO, ERR_TOO_LARGE. */
#define HTTP_SERVER_LISTENERS_MAX 16
MUSTCHECK enum err http_server_listen(
	struct http_server *s, int own_fd, const struct http_listen_options *o, struct errinfo *ei);

/* From now on every reply carries "Connection: close"; accepting goes on. */
void http_server_start_draining(struct http_server *s);
/* Takes what is queued on the listening sockets (for a second at most), then closes them; from now on options.drain_ns bounds what a client holds up. */
void http_server_stop_accepting(struct http_server *s);
/* Whether a listening socket is still open. */
bool http_server_is_accepting(const struct http_server *s);
/* Closes the connections that wait between two requests and have sent nothing of the next one; for the first one within a second of accept. */
void http_server_close_idle(struct http_server *s);
/* Open connections; requests that are whole and wait for their turn, that the handler has and has not answered, or
 * whose reply is not written out yet. */
size_t http_server_count_connections(const struct http_server *s);
size_t http_server_count_requests(const struct http_server *s);
/* Only when no request waits for its answer (MUST): closes listeners and connections, cuts
 * replies in writing. Not from a handler. */
void http_server_free(struct http_server **s);

enum http_method http_request_get_method(const struct http_request *req);
/* As on the request line (RFC 9112 3.2), never decoded. */
struct span http_request_get_target(const struct http_request *req);
/* The target up to '?', not decoded: starts with '/', or is "*" for OPTIONS. Of an absolute
 * target, its path. */
struct span http_request_get_path(const struct http_request *req);
/* What is behind the first '?', not decoded; {NULL, 0} when there is none. */
struct span http_request_get_query(const struct http_request *req);
/* The value without blanks at its ends, of the first line of that name (letters folded); {NULL,
 * 0} when absent. The lines that must not be repeated (Host, Authorization, Content-Type, ...;
 * net/gate.h) are there once at most. */
struct span http_request_find_header(const struct http_request *req, struct span name);
/* Number of lines of that name. */
size_t http_request_count_header(const struct http_request *req, struct span name);
/* All header lines in order, at *out; returns their number. */
size_t http_request_get_headers(const struct http_request *req, const struct http_header **out);
/* In options.look: the body may have at most max_bytes, or the limit of the server, if that is
 * less; more that comes in chunks is answered with 413. False when the head announces more, or more
 * is here. */
MUSTCHECK bool http_request_limit_body(struct http_request *req, size_t max_bytes);
/* The whole body, chunks joined; contiguous. Empty in options.look. */
struct span http_request_get_body(const struct http_request *req);
/* net_peer.address, e.g. "::1", or "" once its connection is gone; NUL-terminated. */
const char *http_request_get_peer(const struct http_request *req);
/* Who is at the other end (net/peer.h); never NULL, valid until the reply, also when the connection is gone. */
const struct net_peer *http_request_view_peer(const struct http_request *req);
/* Address of the client as trusted proxies say it (net/forwarded.h), net_peer.address where the peer is not one of them; empty when it cannot
 * be known. While the request is unanswered. */
struct span http_request_find_client(const struct http_request *req);
/* Whether that is the address of a trusted proxy, which did not say whom it speaks for: many clients may have it. */
bool http_request_is_of_proxy(const struct http_request *req);
/* Whether the client has come by TLS, here or, as it says, to a trusted proxy. */
bool http_request_is_secure(const struct http_request *req);
/* The id made here, which the reply carries as X-Request-Id; NUL-terminated. */
const char *http_request_get_id(const struct http_request *req);
/* Monotonic time at which the request's first byte was seen. */
int64_t http_request_get_start_ns(const struct http_request *req);
/* The queue of whole requests around it, now: in the handler of what was behind it, in options.look of what is before it. */
struct http_queue_view {
	int64_t since_ns; /* monotonic, when it was whole; in options.look, when the oldest of its flow was */
	size_t n_flow;  /* of its rank and flow, without itself */
	size_t n_flows; /* of its rank, that have some waiting, with its own */
};
struct http_queue_view http_request_view_queue(const struct http_request *req);
struct loop *http_request_get_loop(const struct http_request *req);

/* As options.place has said. */
enum http_rank http_request_get_rank(const struct http_request *req);
/* In the handler, before the reply: after it the connection is not read for a second, so that a client
 * that does not heed Retry-After costs nothing meanwhile. What it sends waits in its socket. */
void http_request_pause_after(struct http_request *req);

/* What is the handler's, zero at first: a pointer; a pointer and a number for on_answer. */
void http_request_set_user(struct http_request *req, void *user);
void *http_request_get_user(const struct http_request *req);
void http_request_set_note(struct http_request *req, void *note);
void *http_request_get_note(const struct http_request *req);
void http_request_set_label(struct http_request *req, unsigned label);
unsigned http_request_get_label(const struct http_request *req);

/* fn runs once: some quarter of a second after the client closed its side before the reply was
 * given, or when the server stops accepting (http_server_stop_accepting), so that nobody waits on. The
 * request stays valid and must still be answered (a client that closed only its half
 * reads the answer). NULL takes fn back. */
typedef void (*http_closed_fn)(struct http_request *req, void *arg);
void http_request_set_closed_fn(struct http_request *req, http_closed_fn fn, void *arg);

/* Whether the client has closed its side, or all, asked now. */
bool http_request_has_left(const struct http_request *req);

/* The handler promises to reply later. */
void http_request_defer(struct http_request *req);

/*
 * Answers and ends the handler's use of req. status 200 to 599; body is copied. The server adds
 * X-Request-Id, Date, Server, Content-Length and Connection; Content-Type is application/json
 * unless headers has one and is left out when there is no body. HEAD gets the headers alone; 204
 * and 304 have no body (MUST). A name or value that is no legal header (http_is_token,
 * http_is_header_value), or a name the server adds itself, turns the answer into 500.
 */
void http_request_reply(struct http_request *req, unsigned status,
	const struct http_header *headers, size_t n_headers, struct span body);

/*
 * A reply in pieces, instead of http_request_reply, in the handler or later: begin, write as often as there is something to
 * say, end. It is the last on its connection ("Connection: close"): what the client has sent behind this request is never
 * run. Chunked for HTTP/1.1, up to the end of the connection for 1.0; HEAD gets the headers alone, and what is
 * written is dropped. A stream that has nothing to say may be silent for ever; while something is unsent the client is
 * timed like every other (write_stall_ns, min_rate, and drain_ns after http_server_stop_accepting). Set a closed_fn: of a
 * client that left only that tells (of one that closed its half, while nothing is unsent). Counted by METRIC_STREAMS.
 */
#define HTTP_STREAM_BYTES_MAX (256 * 1024)
/* Headers as for http_request_reply, all legal (MUST), none with a body's length. status 200 to 599, neither 204 nor 304. */
void http_request_stream_begin(struct http_request *req, unsigned status,
	const struct http_header *headers, size_t n_headers);
/* Takes all of it (at most HTTP_STREAM_BYTES_MAX) or nothing: false when so much is unsent that there is no room for it, or
 * the client has gone. */
MUSTCHECK bool http_request_stream_write(struct http_request *req, struct span bytes);
/* fn runs in a later turn, each time that all is sent after a piece was not taken. */
typedef void (*http_drained_fn)(struct http_request *req, void *arg);
void http_request_stream_set_drained_fn(struct http_request *req, http_drained_fn fn, void *arg);
/* Ends the stream and the handler's use of req; the client sees that it is whole. */
void http_request_stream_end(struct http_request *req);
/* The same, but the client sees that it is not whole. */
void http_request_stream_abort(struct http_request *req);

#endif
