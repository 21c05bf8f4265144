/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in clear before a TLS handshake. The library reads through a BIO of ours, which gives the first bytes to a
 * function and passes on what is behind them. Bytes are looked at in the socket, and only those before the handshake are taken
 * out of it: not one of the handshake is lost, and the kernel does not tell of the same ones over and over. Runs on the
 * loop's thread.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include <openssl/bio.h>

#include "base/mem.h"
#include "base/must.h"
#include "tls_conn.h"
#include "tls_priv.h"

#define PREAMBLE_MAGIC 0x746c7070u

struct preamble {
	unsigned magic;
	int fd;             /* the bufferevent's */
	tls_preamble_fn fn; /* NULL: it is over */
	void *arg;
	bool is_refused;
	bool is_eof;
	char *bytes; /* what was taken; NULL: nothing yet, or it is over */
	size_t n;
};

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* As the library's own BIO of a socket does it. */
static int
receive(BIO *bio, struct preamble *p, char *out, size_t size, int flags)
{
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = recv(p->fd, out, size, flags);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	p->is_eof = n == 0;
	return (int)n;
}

static void
end(struct preamble *p, bool is_refused)
{
	mem_free(p->bytes);
	p->bytes = NULL;
	p->is_refused = is_refused;
	p->fn = NULL;
}

/* Takes as many out of the socket as belong to it, of those that were looked at. */
static bool
take(BIO *bio, struct preamble *p, size_t n)
{
	while (p->n < n) {
		int taken = receive(bio, p, p->bytes + p->n, n - p->n, 0);
		if (taken <= 0)
			return false;
		p->n += (size_t)taken;
	}
	return true;
}

/* Goes on with what has come; as receive when nothing has. */
static int
go_on(BIO *bio, struct preamble *p)
{
	if (p->bytes == NULL)
		p->bytes = mem_alloc(TLS_PREAMBLE_BYTES_MAX);
	/* A whole one would be over. */
	if (p->bytes == NULL || p->n == TLS_PREAMBLE_BYTES_MAX) {
		end(p, true);
		return -1;
	}
	int seen = receive(bio, p, p->bytes + p->n, TLS_PREAMBLE_BYTES_MAX - p->n, MSG_PEEK);
	if (seen <= 0)
		return seen;
	size_t n = p->n + (size_t)seen;
	enum tls_preamble verdict = p->fn(p->arg, span_of(p->bytes, n), &n);
	if (verdict == TLS_PREAMBLE_REFUSED || !take(bio, p, n)) {
		end(p, true);
		return -1;
	}
	if (verdict == TLS_PREAMBLE_DONE)
		end(p, false);
	return seen;
}

static int
read_bio(BIO *bio, char *out, int size)
{
	struct preamble *p;

	OBJ_CAST(p, BIO_get_data(bio), PREAMBLE_MAGIC);
	while (p->fn != NULL) {
		int rc = go_on(bio, p);
		if (rc <= 0)
			return rc;
	}
	if (p->is_refused || size <= 0) {
		BIO_clear_retry_flags(bio);
		return -1;
	}
	return receive(bio, p, out, (size_t)size, 0);
}

static long
control(BIO *bio, int command, long number, void *arg)
{
	const struct preamble *p;

	(void)number;
	(void)arg;
	OBJ_CAST(p, BIO_get_data(bio), PREAMBLE_MAGIC);
	if (command == BIO_CTRL_EOF)
		return p->is_eof ? 1 : 0;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int
destroy(BIO *bio)
{
	struct preamble *p = BIO_get_data(bio);

	if (p == NULL)
		return 1;
	OBJ_CHECK(p, PREAMBLE_MAGIC);
	end(p, true);
	p->magic = 0;
	mem_free(p);
	return 1;
}

/* For the life of the process: connections end later than whatever they belonged to. */
static void
make_method(void)
{
	BIO_METHOD *m =
		BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "before a handshake");

	if (m != NULL && BIO_meth_set_read(m, read_bio) == 1 &&
		BIO_meth_set_ctrl(m, control) == 1 && BIO_meth_set_destroy(m, destroy) == 1)
		method = m;
}

BIO *
tls_preamble_new(int fd, tls_preamble_fn fn, void *arg)
{
	MUST(pthread_once(&once, make_method) == 0);
	BIO *bio = method != NULL ? BIO_new(method) : NULL;
	struct preamble *p = bio != NULL ? mem_zalloc(1, sizeof(*p)) : NULL;

	if (p == NULL) {
		BIO_free(bio);
		return NULL;
	}
	p->magic = PREAMBLE_MAGIC;
	p->fd = fd;
	p->fn = fn;
	p->arg = arg;
	BIO_set_data(bio, p);
	BIO_set_init(bio, 1);
	return bio;
}
