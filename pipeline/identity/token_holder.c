/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* One block for the object and its texts. Any thread. */
#include "identity/token_holder.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"

#define HOLDER_MAGIC 0x686f6c64u

struct counted {
	struct token_holder holder; /* first */
	unsigned magic;
	atomic_size_t n_refs;
	struct span groups[];
};

static struct counted *
counted_of(struct token_holder *h)
{
	struct counted *c = (struct counted *)(void *)h;

	OBJ_CHECK(c, HOLDER_MAGIC);
	return c;
}

static struct span
put(char **at, struct span text)
{
	struct span copy = span_of(*at, text.n);

	if (text.n > 0)
		memcpy(*at, text.p, text.n);
	*at += text.n;
	return copy;
}

struct token_holder *
token_holder_new(const struct token_facts *facts, struct span prefix)
{
	size_t n = sizeof(struct counted) + facts->n_groups * sizeof(struct span);
	size_t n_text = prefix.n + facts->subject.n;

	for (size_t i = 0; i < facts->n_groups; i++)
		n_text += facts->groups[i].n;
	struct counted *c = mem_zalloc(1, n + n_text);
	if (c == NULL)
		return NULL;
	char *at = (char *)c + n;
	c->magic = HOLDER_MAGIC;
	atomic_init(&c->n_refs, 1);
	c->holder.principal = span_of(at, prefix.n + facts->subject.n);
	(void)put(&at, prefix);
	(void)put(&at, facts->subject);
	for (size_t i = 0; i < facts->n_groups; i++)
		c->groups[i] = put(&at, facts->groups[i]);
	c->holder.groups = c->groups;
	c->holder.n_groups = facts->n_groups;
	c->holder.expires_wall_ns = facts->expires_s * NS_PER_SEC;
	return &c->holder;
}

struct token_holder *
token_holder_ref(struct token_holder *h)
{
	atomic_fetch_add_explicit(&counted_of(h)->n_refs, 1, memory_order_relaxed);
	return h;
}

void
token_holder_unref(struct token_holder **h)
{
	struct counted *c;

	if (*h == NULL)
		return;
	c = counted_of(*h);
	*h = NULL;
	if (atomic_fetch_sub_explicit(&c->n_refs, 1, memory_order_acq_rel) > 1)
		return;
	c->magic = 0;
	mem_free(c);
}
