/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files behind net/http_server.h share: the server, its connections, and the narrow door
 * to the HTTP engine.
 *
 * The engine (http_evhttp.c) never reads a byte of a client: the tap of conn.c takes all input
 * into the framing machine, and for each whole request the engine is given a request head that we
 * wrote. It keeps the life of connections and writes the replies. All on the loop's thread.
 */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/loop.h"
#include "framing.h"
#include "net/address_cap.h"
#include "net/http_server.h"
#include "net/peer.h"

struct bufferevent;
struct conn;
struct evbuffer;
struct evbuffer_cb_entry;
struct evhttp;
struct evhttp_bound_socket;
struct evhttp_connection;
struct evhttp_request;
struct tls_conn;

#define SERVER_MAGIC 0x68747470u
#define CONN_MAGIC 0x636f6e6eu

/* Where a connection stands; conn_set_state is the only mover. */
enum conn_state {
	CONN_GONE = 0, /* let go by the engine; the handler may still have its request */
	CONN_PROXY,    /* accepted, the PROXY header has not come */
	CONN_IDLE,     /* no byte of a request has come */
	CONN_HEAD,     /* request line and header lines are coming */
	CONN_BODY,
	CONN_QUEUED,  /* the request is whole and waits for its turn */
	CONN_HANDED,  /* the handler has the request */
	CONN_WRITING, /* the reply is on its way */
	CONN_LINGER,  /* refused: our answer is on its way, what comes in is thrown away */
	CONN_PAUSED,  /* answered, and not read for a while */
	CONN_STREAM,  /* a streamed reply, of which all that is there was sent */
	CONN_SENDING, /* a streamed reply, of which something is unsent */
	CONN_SHAKE,   /* the TLS handshake goes on */
	CONN__STATES
};

struct http_request {
	struct conn *conn;
	struct evhttp_request *engine; /* from hand-over to reply */
	char id[ID_MAX];
	int64_t start_ns;
	int64_t whole_ns;
	void *user;
	unsigned label;
	void *note;
	http_closed_fn closed_fn;
	void *closed_arg;
	bool is_open;  /* handed to the handler and not answered */
	bool is_early; /* the early look: the body is not here */
	bool is_deferred;
	bool is_streaming; /* until the end of the stream */
	bool is_chunked;
	bool wants_drained; /* a piece was not taken */
	http_drained_fn drained_fn;
	void *drained_arg;
};

/* Longest text of a peer's address, with its zone and NUL. */
#define PEER_ADDRESS_MAX 72

/* Work that must not be done inside a callback of the engine. */
enum conn_work {
	CONN_WORK_ADOPT = 1 << 0,  /* learn the engine's connection */
	CONN_WORK_RESUME = 1 << 1, /* look at the bytes that came with the request before */
	CONN_WORK_CLOSE = 1 << 2,
	CONN_WORK_CLOSED = 1 << 3, /* tell the handler that the client went away */
	CONN_WORK_FLUSH = 1 << 4,  /* write the reply */
	CONN_WORK_PAUSE = 1 << 5,  /* stop reading for a while */
	CONN_WORK_DRAINED = 1 << 6 /* tell the handler that there is room in its stream */
};

struct conn {
	unsigned magic;
	struct http_server *server;
	const struct server_listener *listener; /* that it came from */
	struct conn *prev; /* in the server's list of its state; QUEUED: of its place */
	struct conn *next;
	struct conn *next_ready; /* in the server's list of work */
	unsigned work;           /* of enum conn_work */
	bool is_ready;           /* in that list */
	bool is_pinned;          /* in use by a caller */
	bool is_counted;         /* by the cap per address, as address */
	struct address_key address;
	struct net_peer peer; /* from adoption on */
	char peer_address[PEER_ADDRESS_MAX];
	bool is_trusted;           /* it is a proxy whose word about its clients counts */
	int64_t trust_end_wall_ns; /* until then, as its certificate says; 0: no certificate does */
	char proxy_address[PEER_ADDRESS_MAX]; /* of the proxy whose header named the client */
	bool is_looked_at;                    /* the early look at this request has been */
	bool pauses;                          /* after the reply to this request */
	enum conn_state state;
	struct bufferevent *bev;                              /* the engine's */
	struct tls_conn *tls;                                 /* NULL: in clear */
	struct evhttp_connection *engine;                     /* NULL until adopted */
	void (*engine_written)(struct bufferevent *, void *); /* its callbacks */
	void (*engine_event)(struct bufferevent *, short, void *);
	struct evbuffer_cb_entry *tap;
	struct event *interest; /* of the kernel in reading; NULL: none */
	bool was_told;          /* by it, since the engine last read */
	struct evbuffer *held;  /* bytes behind the request being worked on; NULL: none yet */
	struct framing framing;
	struct http_request req;
	struct http_place place; /* of that request */
	int64_t since_ns;        /* when the state began */
	int64_t deadline_ns;     /* INT64_MAX: none */
	size_t reply_n;          /* WRITING, SENDING: bytes of the reply since nothing was unsent */
	size_t moved_seen; /* WRITING, SENDING: bytes taken when last looked; SIZE_MAX: not looked yet */
	uint64_t
		wire_base; /* WRITING, SENDING over TLS: bytes the socket had taken when the state began */
	bool is_cut;     /* the client must see that something is missing */
	size_t n_thrown; /* LINGER: bytes thrown away */
	size_t n_served;
};

/* Connections of one state; the one that is in it for the longest, and has the earliest deadline,
 * is first. */
struct conn_list {
	struct conn *first;
	struct conn *last;
	size_t n;
};

/* So many flows take turns. */
#define SERVE_FLOWS 64
/* Served in one turn: of a rank, and of the last one while others wait. */
#define SERVE_SLICE 32
#define SERVE_LAST 4

/* The whole requests of one rank. */
struct serve_queue {
	struct conn_list flows[SERVE_FLOWS];
	uint64_t waiting; /* bits of the flows that may have some */
	unsigned next;    /* whose turn it is */
};

/* The engine does not say which socket a connection came from, so every listening socket has an engine of its own. */
struct server_listener {
	struct http_server *server;
	struct http_listen_options options;
	struct evhttp *engine;             /* keeps its connections when the socket is closed */
	struct evhttp_bound_socket *bound; /* NULL: closed */
	int fd;                            /* the socket */
	struct conn *spare;   /* what the next accepted socket gets; NULL: accepting pauses */
	unsigned tls_version; /* of the keeper's context that the spare has */
};

struct http_server {
	unsigned magic;
	struct loop *loop;
	struct http_server_options options;
	struct framing_limits limits;
	http_handler_fn handler;
	void *arg;

	struct server_listener *listeners[HTTP_SERVER_LISTENERS_MAX];
	size_t n_listeners;
	bool is_accepting; /* some listening socket is open */
	struct loop_timer *stop_timer;
	int64_t stop_deadline_ns; /* of taking what is queued; 0: not stopping */
	int64_t whole_by_ns;      /* when a request has to be whole; 0: not stopping */

	struct conn_list lists[CONN__STATES];
	size_t n_conns;
	size_t n_accepted; /* in this turn */
	bool is_paused;    /* accepting, until the end of the turn or the next sweep */
	struct serve_queue queues[HTTP_RANK__MAX];
	size_t n_queued; /* in them */
	struct loop_msg serve_msg;
	bool serves;  /* serve_msg is deferred */
	bool is_held; /* it is not, though some wait: options.may_serve */

	size_t n_writing;
	size_t n_open;        /* in the handler's hands */
	struct conn *handing; /* whose request the engine is about to announce */
	struct loop_timer *sweep_timer;
	int64_t sweep_ns;
	int64_t sweep_late_ns; /* a sweep behind this tells of a pause */
	bool was_late;         /* the sweep before was such a one */
	int64_t next_rate_ns;  /* when the rates are looked at again */

	struct loop_msg work_msg;
	struct conn *ready; /* newest first */
	bool has_work;      /* work_msg is deferred */
	bool is_dead;       /* freed while work_msg or serve_msg was deferred */
	bool is_draining;

	struct buf scratch; /* one head, or one refusal */
	int64_t date_s;     /* the second that date shows */
	char date[CLOCK_TEXT_MAX];
};

/* http_server.c */
void server_add_work(struct conn *c, enum conn_work work);
/* The next sweep is to come so soon. */
void server_arm_sweep(struct http_server *s, int64_t delay_ns);
/* The HTTP Date of now. */
const char *server_get_date(struct http_server *s);

/* serve_queue.c */
/* The request of c is whole: it waits for its turn. */
void serve_queue_put(struct conn *c);
/* Asks for the place of c's request, whose head is there. */
void serve_queue_place(struct conn *c);
/* The list of a connection that waits, by its place. */
struct conn_list *serve_queue_list(const struct conn *c);
/* For c's request, which is whole since whole_ns; 0: not yet. */
struct http_queue_view serve_queue_view(const struct conn *c, int64_t whole_ns);
/* The slice of this turn. */
void serve_queue_run(struct http_server *s);
/* Those who are held may be served now. */
void serve_queue_wake(struct http_server *s);

/* room.c */
/* A connection begins; accepting may pause for it. */
void room_take(struct conn *c);
/* Ends pauses of accepting where there is room, or makes some; at the end of a turn with accepts,
 * and in each sweep. */
void room_resume(struct http_server *s);
/* A connection has gone. */
void room_leave(struct conn *c);
/* It has no place among those of its address from here on. */
void room_stop_counting(struct conn *c);
/* Whether a connection waits to be accepted. */
bool room_has_queued(const struct http_server *s);
/* False when the address of c has its share already. */
MUSTCHECK bool room_admit(struct conn *c);
/* The same once a trusted proxy has named the client. */
MUSTCHECK bool room_admit_client(struct conn *c, const struct address *client);

/* conn_shake.c, connections with TLS */
/* Where a connection begins: in its handshake, or idle. */
void conn_shake_begin(struct conn *c);
/* The engine closes the connection: says so to the client, or why there was no handshake to the log. */
void conn_shake_end(struct conn *c);
/* Whether the certificate that says who it is, or that it is a proxy, would be taken now; for each request anew. */
MUSTCHECK bool conn_is_still_believed(struct conn *c);
/* No more is sent: the client sees the end. */
void conn_end_output(struct conn *c);
/* Bytes of the reply that the client's socket has taken. */
size_t conn_count_taken(const struct conn *c);

/* conn_list.c */
void conn_set_state(struct conn *c, enum conn_state state, int64_t deadline_ns);
/* Takes it off its list. */
void conn_leave_list(struct conn *c);
/* Ends what is over its deadline, or below the least rate. */
void conn_list_sweep(struct http_server *s, int64_t now);
/* A client that does not take its reply: counted, once; the caller closes. */
void conn_note_cut(struct conn *c);
/* Those that wait for their client, the one that is in its state for the longest first. What was returned may be closed before the next
 * step, and nothing else. */
struct conn_walk {
	struct conn *next[CONN__STATES];
};
void conn_walk_begin(const struct http_server *s, struct conn_walk *w);
/* NULL: there are no more. */
struct conn *conn_walk_step(struct conn_walk *w);

/* reply_head.c */
/* Empties b and puts the lines into it that every answer has. */
void reply_head_begin(struct buf *b, struct http_server *s, unsigned status, const char *id);
void reply_head_add(struct buf *b, struct span name, struct span value);
void reply_head_add_length(struct buf *b, size_t n);
void reply_head_add_all(struct buf *b, const struct http_header *headers, size_t n);

/* linger.c */
/* Answers with the table's refusal and closes. */
void conn_refuse(struct conn *c, enum gate_refusal why);
/* The handler's answer before the body; closes. */
void conn_reply_early(struct conn *c, unsigned status, const struct http_header *headers,
	size_t n_headers, struct span body);
/* Closes at once, with the refusal if the socket takes it. */
void conn_cut(struct conn *c, enum gate_refusal why);

/* For a client that speaks HTTP in clear where TLS is spoken: says so; the caller closes. */
void conn_refuse_plain(struct conn *c);
/* Nothing more is to be said to this client: closes when it has closed, or after a while. */
void conn_linger(struct conn *c);
/* Nobody will read what is in it. */
void conn_throw_all(struct evbuffer *b);

/* conn_proxy.c */
/* False when the listener wants a PROXY header and the peer is not trusted to say one. */
MUSTCHECK bool conn_proxy_may_speak(const struct conn *c);
/* Of a connection with TLS: the handshake waits for the header. False when memory is out. */
MUSTCHECK bool conn_proxy_begin(struct conn *c);
/* Looks at what is held for a header; the connection is idle once it is whole. */
void conn_proxy_take(struct conn *c);

/* http_client_address.c */
/* Finds out whether the peer, or the client that it has named by a PROXY header, is a trusted proxy. */
void conn_judge_peer(struct conn *c);
/* The same by the certificate that it has shown; that of a proxy is nobody's who asks. */
void conn_judge_certificate(struct conn *c);

/* conn_peer.c */
/* Learns who is at the other end. */
void conn_peer_fill(struct conn *c);

/* http_stream.c */
/* Sends the head of a stream; the request is streaming from then on. */
void conn_stream_begin(struct conn *c, struct span head);
void conn_stream_drained(struct conn *c);

/* conn.c */
/* For the next socket, not counted yet. NULL when memory is out. */
MUSTCHECK struct conn *conn_new(const struct server_listener *l, struct bufferevent *bev);
/* The engine has accepted a socket for it. */
void conn_begin(struct conn *c);
/* Frees what is gone and no longer in use by anyone. */
void conn_release(struct conn *c);
/* The engine closes the connection. */
void conn_on_gone(struct conn *c);
/* The engine announces the request that conn.c has given it. */
void conn_on_request(struct conn *c, struct evhttp_request *engine);
/* The engine has written out the reply. */
void conn_on_written(struct conn *c);
void conn_resume(struct conn *c);
/* Its turn has come: the handler gets the request. The connection may be gone then. */
void conn_serve(struct conn *c);
/* Whether bytes wait behind the request. */
bool conn_has_held(const struct conn *c);
/* Stops reading for CONN_PAUSE_NS; the sweep calls conn_go_on. */
#define CONN_PAUSE_NS NS_PER_SEC
void conn_pause(struct conn *c);
void conn_go_on(struct conn *c);
/* The server ends: the shorter deadlines count for what goes on already. */
void conn_hurry(struct conn *c);
/* Whether the client has closed its side, or all. */
bool conn_is_peer_closed(const struct conn *c);
/* Whether the kernel holds bytes of it that the next turn will read. Not for one that is gone. */
bool conn_has_unread(const struct conn *c);

/* server_listener.c, the only part that knows how many there are */
MUSTCHECK enum err server_listen(
	struct http_server *s, int own_fd, const struct http_listen_options *o, struct errinfo *ei);
/* Closes the listening sockets; connections stay. */
void server_close_listeners(struct http_server *s);
/* Whether the listening sockets take connections. */
void server_set_accepting(struct http_server *s, bool is_on);
/* Makes the spares that are missing; false when memory is out. */
MUSTCHECK bool server_prepare(struct http_server *s);
bool server_has_spares(const struct http_server *s);
/* Closes listeners and connections. */
void server_free_listeners(struct http_server *s);

/* http_evhttp.c */
MUSTCHECK enum err engine_new(struct server_listener *l, struct errinfo *ei);
/* Closes the socket and the connections that came from it. */
void engine_free(struct server_listener *l);
MUSTCHECK enum err engine_listen(struct server_listener *l, int own_fd, struct errinfo *ei);
void engine_close_listener(struct server_listener *l);
/* Makes the spare, if there is none; false when memory is out. */
MUSTCHECK bool engine_prepare(struct server_listener *l);
void engine_set_accepting(struct server_listener *l, bool is_on);
/* Learns the engine's connection; false when the engine has dropped it already. */
MUSTCHECK bool engine_adopt(struct conn *c);
/* Closes; conn_on_gone runs in it. */
void engine_close(struct conn *c);
const char *engine_get_peer(const struct conn *c);
/* The kernel goes on telling of readable bytes while the engine does not read, until some come: nothing
 * has to be said to it for each request. */
void engine_keep_interest(struct conn *c);
void engine_lose_interest(struct conn *c);
/* Writes what the socket takes at once; the rest waits for it. The connection may be gone then. */
void engine_flush(struct conn *c);
/* Sends the reply at the end of the turn, and closes behind it when is_last; false when memory is out. */
MUSTCHECK bool engine_reply(
	struct http_request *req, struct span head, struct span body, bool is_last);

#endif
