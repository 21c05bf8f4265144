/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of one connection that was accepted. The bufferevent does the handshake and passes bytes on; what goes past it
 * (writing at once, the end) is here. On the thread of its loop.
 */
#ifndef NET_TLS_CONN_H
#define NET_TLS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"
#include "net/peer.h"

struct bufferevent;
struct event_base;
struct tls_context;
struct tls_keeper;
struct tls_conn;

/* What may come in clear before the handshake, at most. */
#define TLS_PREAMBLE_BYTES_MAX 4096

enum tls_preamble {
	TLS_PREAMBLE_REFUSED = 0, /* there will be no handshake */
	TLS_PREAMBLE_MORE,        /* all of the bytes belong to it, and more have to come */
	TLS_PREAMBLE_DONE,        /* the first *n do */
};
/* Called within the bufferevent's work with all that has come, each time that more has. */
typedef enum tls_preamble (*tls_preamble_fn)(void *arg, struct span bytes, size_t *n);

/* Called within the bufferevent's work once the handshake has ended well. */
typedef void (*tls_open_fn)(void *arg);

/* For a socket that the bufferevent is given later, and closes; takes the context over. NULL when memory is out. */
MUSTCHECK struct bufferevent *tls_conn_new(
	struct event_base *base, struct tls_context *own_context, struct tls_conn **out);
void tls_conn_set_open_fn(struct tls_conn *t, tls_open_fn fn, void *arg);
/* Something in clear comes before the handshake. Once the bufferevent has fd, before it reads. False when memory is out. */
MUSTCHECK bool tls_conn_expect_preamble(struct tls_conn *t, int fd, tls_preamble_fn fn, void *arg);
/* The bufferevent is about to be freed by its owner; from here on only tls_conn_free, or what fill_peer has given. */
void tls_conn_let_go(struct tls_conn *t);
/* After tls_conn_let_go. */
void tls_conn_free(struct tls_conn **t);

/* Whether not one byte of the handshake has come. */
bool tls_conn_is_silent(const struct tls_conn *t);
/* What the handshake has told of the client. False when memory is out. The texts live as long as t. */
MUSTCHECK bool tls_conn_fill_peer(struct tls_conn *t, struct net_peer *peer);

/* Why the client's certificate would not be good for a handshake of now, static text; NULL: it would. Lists of revoked ones, CAs and
 * ends are those of the keeper's newest context. Costs next to nothing while that is the same. */
MUSTCHECK const char *tls_conn_judge_again(struct tls_conn *t, struct tls_keeper *k);

/* Why a handshake ended before its time; static text, or in buffer. NULL: the client has just gone without a word. */
const char *tls_conn_explain(struct tls_conn *t, struct bufferevent *bev, bool *is_plain_http,
	char *buffer, size_t size);

/* Writes what the socket takes of bytes at once; the number. What was not taken must be the next to be written. */
size_t tls_conn_write(struct tls_conn *t, struct span bytes);
/* Tells the client that nothing more comes, if that can be said at once. */
void tls_conn_end(struct tls_conn *t);
/* Whether bytes of the client are here that were not handed on. */
bool tls_conn_has_pending(const struct tls_conn *t);
/* Bytes that the socket has taken since it was accepted. */
uint64_t tls_conn_count_written(const struct tls_conn *t);

#endif
