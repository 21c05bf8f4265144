/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets in memory. Must never print, log or copy what it holds other than into the object itself,
 * and wipes it before the memory goes back. Any thread; an object does not change between
 * secret_new and secret_free.
 */
#include "base/secret.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/must.h"

#define SECRET_MAGIC 0x73656372u

struct secret {
	unsigned magic;
	size_t n;
	char bytes[];
};

struct secret *
secret_new(struct span bytes)
{
	struct secret *s = bytes.n < SIZE_MAX / 2 ? mem_alloc(sizeof(*s) + bytes.n) : NULL;

	if (s == NULL)
		return NULL;
	s->magic = SECRET_MAGIC;
	s->n = bytes.n;
	if (bytes.n > 0)
		memcpy(s->bytes, bytes.p, bytes.n);
	return s;
}

void
secret_free(struct secret **s)
{
	if (*s == NULL)
		return;
	OBJ_CHECK(*s, SECRET_MAGIC);
	mem_wipe(*s, sizeof(**s) + (*s)->n);
	mem_free(*s);
	*s = NULL;
}

struct span
secret_get_bytes(const struct secret *s)
{
	OBJ_CHECK(s, SECRET_MAGIC);
	return span_of(s->bytes, s->n);
}

size_t
secret_length(const struct secret *s)
{
	OBJ_CHECK(s, SECRET_MAGIC);
	return s->n;
}

/* The volatile reads keep the compiler from leaving the loop at the first difference. */
bool
secret_eq(struct span a, struct span b)
{
	const volatile unsigned char *x = (const volatile unsigned char *)a.p;
	const volatile unsigned char *y = (const volatile unsigned char *)b.p;
	unsigned difference = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		difference |= (unsigned)(x[i] ^ y[i]);
	return difference == 0;
}
