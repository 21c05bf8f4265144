/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction over Hyperscan, which only this file and redactor.c see. One scan finds all places, the rules'
 * shapes make ranges of them, and overlapping ranges become one [REDACTED]. Whatever goes wrong on
 * the way, the whole text is replaced. A redactor is immutable; each thread has scratch space of
 * its own, freed when the thread ends. Any thread.
 */
#include "base/redact.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <hs.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/must.h"
#include "redact_rules.h"
#include "redactor.h"

#define REPLACEMENT "[REDACTED]"
#define NOT_OPEN SIZE_MAX

enum {
	RANGES_FIRST = 64, /* on the stack, more go to the heap */
	RANGES_MAX = 1 << 20,
	PAGE = 4096,
	READ_AHEAD = 64,  /* bytes behind a text that may be looked at */
	ON_STACK = 2048,  /* bytes of a text that is copied without the heap */
	PREPARED_MAX = 4, /* redactors a thread's scratch is known to fit */
};

struct thread_scratch {
	hs_scratch_t *space;
	uint64_t prepared[PREPARED_MAX];
	unsigned next;
};

enum scan_aim {
	FIND_ALL = 0,
	TEST_ONE,  /* whether there is a range */
	TEST_MANY, /* the same of many texts in one: a PEM marker is a range, too */
};

/* One scan. Ranges are disjoint and in order. */
struct scan {
	struct span text;
	struct redact_range *ranges;
	size_t n;
	size_t room;
	struct redact_range first[RANGES_FIRST];
	size_t pem_from;    /* the first BEGIN since the last END, or NOT_OPEN */
	size_t pem_cut;     /* the first of those that a block follows */
	size_t jwt_checked; /* no token that was not found begins before it */
	enum scan_aim aim;
	bool failed;
};

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key;
static bool has_scratch_key;
static _Thread_local struct thread_scratch scratch;

static void
free_scratch(void *space)
{
	hs_free_scratch(space);
}

static void
make_key(void)
{
	has_scratch_key = pthread_key_create(&scratch_key, free_scratch) == 0;
}

/* This thread's scratch space, grown to fit r; NULL when memory is out. */
static hs_scratch_t *
need_scratch(const struct redactor *r)
{
	for (unsigned i = 0; i < PREPARED_MAX; i++) {
		if (scratch.prepared[i] == r->id)
			return scratch.space;
	}
	pthread_once(&key_once, make_key);
	if (!has_scratch_key || hs_alloc_scratch(r->db, &scratch.space) != HS_SUCCESS)
		return NULL;
	if (pthread_setspecific(scratch_key, scratch.space) != 0)
		return NULL;
	scratch.prepared[scratch.next++ % PREPARED_MAX] = r->id;
	return scratch.space;
}

static bool
grow(struct scan *s)
{
	size_t room = 2 * s->room;
	struct redact_range *old = s->ranges == s->first ? NULL : s->ranges;
	struct redact_range *ranges;

	if (room > RANGES_MAX)
		return false;
	ranges = mem_realloc(old, room * sizeof(*ranges));
	if (ranges == NULL)
		return false;
	if (old == NULL)
		memcpy(ranges, s->first, sizeof(s->first));
	s->ranges = ranges;
	s->room = room;
	return true;
}

/*
 * Puts r in its place, merged with the ranges it overlaps. Matches come nearly in the order of
 * their ends, so the place is at the end or close to it.
 */
static void
add_range(struct scan *s, struct redact_range r)
{
	struct span found = span_of(s->text.p + r.from, r.to - r.from);
	size_t end = s->n;
	size_t begin;

	if (found.n == 0 || span_eq(found, SPAN_LIT(REPLACEMENT)))
		return;
	if (s->n == s->room && !grow(s)) {
		s->failed = true;
		return;
	}
	while (end > 0 && s->ranges[end - 1].from >= r.to)
		end--;
	for (begin = end; begin > 0 && s->ranges[begin - 1].to > r.from; begin--) {
		const struct redact_range *o = &s->ranges[begin - 1];
		r.from = o->from < r.from ? o->from : r.from;
		r.to = o->to > r.to ? o->to : r.to;
	}
	memmove(s->ranges + begin + 1, s->ranges + end, (s->n - end) * sizeof(r));
	s->ranges[begin] = r;
	s->n = begin + 1 + (s->n - end);
}

/* How far the text around `at` is taken already; 0 when it is not. */
static size_t
seen_until(const struct scan *s, size_t at)
{
	if (s->n == 0)
		return 0;
	const struct redact_range *last = &s->ranges[s->n - 1];
	return last->from <= at && at <= last->to ? last->to : 0;
}

static void
on_pem(struct scan *s, enum redact_shape shape, struct redact_range match)
{
	if (s->aim == TEST_MANY) {
		add_range(s, match);
		return;
	}
	if (shape == SHAPE_PEM_BEGIN) {
		if (s->pem_from == NOT_OPEN)
			s->pem_from = match.from;
		if (s->pem_cut == NOT_OPEN && redact_rule_is_pem_body(span_from(s->text, match.to)))
			s->pem_cut = match.from;
		return;
	}
	if (s->pem_from != NOT_OPEN)
		add_range(s, (struct redact_range){s->pem_from, match.to});
	s->pem_from = NOT_OPEN;
	s->pem_cut = NOT_OPEN;
}

static bool
is_continuation(struct span text, size_t at)
{
	return at < text.n && ((unsigned char)text.p[at] & 0xc0U) == 0x80;
}

/* Operators' patterns work on bytes; a match must not cut a character in two. */
static struct redact_range
widen(struct span text, struct redact_range r)
{
	for (int i = 0; i < 3 && r.from > 0 && is_continuation(text, r.from); i++)
		r.from--;
	for (int i = 0; i < 3 && is_continuation(text, r.to); i++)
		r.to++;
	return r;
}

static int
on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg)
{
	struct scan *s = arg;
	struct redact_range match = {(size_t)from, (size_t)to};

	(void)flags;
	if (id >= redact_n_rules) {
		add_range(s, widen(s->text, match));
	} else if (redact_rules[id].shape == SHAPE_PEM_BEGIN ||
		   redact_rules[id].shape == SHAPE_PEM_END) {
		on_pem(s, redact_rules[id].shape, match);
	} else if (redact_rules[id].shape == SHAPE_JWT) {
		if (match.from >= s->jwt_checked)
			add_range(s, redact_rule_jwt(s->text, match, &s->jwt_checked));
	} else {
		add_range(s, redact_rule_extend(
				     &redact_rules[id], s->text, match, seen_until(s, match.to)));
	}
	return s->failed || (s->aim != FIND_ALL && s->n > 0);
}

/*
 * Hyperscan 5.4.0 reads up to three bytes behind the end of the text (seen with AVX-512), which ends the process when there
 * is no memory. So a text whose end is close to that of its page is scanned in a copy.
 */
static bool
may_be_read_over(struct span text)
{
	return ((uintptr_t)text.p + text.n + READ_AHEAD - 1) / PAGE !=
	       ((uintptr_t)text.p + text.n - 1) / PAGE;
}

static hs_error_t
scan_copy(const struct redactor *r, struct scan *s, hs_scratch_t *space)
{
	char small[ON_STACK + READ_AHEAD];
	char *copy = s->text.n <= ON_STACK ? small : mem_alloc(s->text.n + READ_AHEAD);
	hs_error_t rc = HS_NOMEM;

	if (copy == NULL)
		return rc;
	memcpy(copy, s->text.p, s->text.n);
	memset(copy + s->text.n, 0, READ_AHEAD);
	rc = hs_scan(r->db, copy, (unsigned)s->text.n, 0, space, on_match, s);
	if (copy != small)
		mem_free(copy);
	return rc;
}

/* Fills s, ranges above all; s->failed when they cannot be trusted. */
static void
run_scan(const struct redactor *r, struct scan *s, struct span text, enum scan_aim aim)
{
	hs_scratch_t *space;
	hs_error_t rc;

	OBJ_CHECK(r, REDACTOR_MAGIC);
	/* Not all at once: the ranges are a kilobyte. */
	s->text = text;
	s->aim = aim;
	s->ranges = s->first;
	s->n = 0;
	s->room = RANGES_FIRST;
	s->pem_from = NOT_OPEN;
	s->pem_cut = NOT_OPEN;
	s->jwt_checked = 0;
	s->failed = true;
	if (r->db == NULL || s->text.n > UINT32_MAX)
		return;
	space = need_scratch(r);
	if (space == NULL)
		return;
	s->failed = false;
	rc = may_be_read_over(s->text)
		     ? scan_copy(r, s, space)
		     : hs_scan(r->db, s->text.p, (unsigned)s->text.n, 0, space, on_match, s);
	if (rc != HS_SUCCESS && rc != HS_SCAN_TERMINATED)
		s->failed = true;
	/* A block cut off before its END line goes to the end of the text. */
	if (s->pem_cut != NOT_OPEN && !s->failed)
		add_range(s, (struct redact_range){s->pem_cut, s->text.n});
}

static void
end_scan(struct scan *s)
{
	if (s->ranges != s->first)
		mem_free(s->ranges);
}

bool
redact(const struct redactor *r, struct span text, struct buf *out)
{
	struct scan s;
	size_t at = 0;
	bool changed;

	if (text.n == 0)
		return false;
	run_scan(r, &s, text, FIND_ALL);
	changed = s.failed || s.n > 0;
	if (s.failed) {
		BUF_ADD_LIT(out, REPLACEMENT);
	} else {
		for (size_t i = 0; i < s.n; i++) {
			buf_add(out, text.p + at, s.ranges[i].from - at);
			BUF_ADD_LIT(out, REPLACEMENT);
			at = s.ranges[i].to;
		}
		buf_add(out, text.p + at, text.n - at);
	}
	end_scan(&s);
	return changed;
}

bool
redact_is_clean(const struct redactor *r, struct span text)
{
	struct scan s;

	if (text.n == 0)
		return true;
	run_scan(r, &s, text, TEST_ONE);
	end_scan(&s);
	return !s.failed && s.n == 0;
}

/*
 * Patterns match bytes whatever stands around them (nothing looks around), and to them and to what their
 * shapes make of a match a line end or a quote is what the end of the text is: what there is to replace
 * in a text is found in any that holds it so. But for PEM blocks, of which no marker may be there.
 */
bool
redact_is_inert(const struct redactor *r, struct span all)
{
	struct scan s;

	OBJ_CHECK(r, REDACTOR_MAGIC);
	if (all.n == 0)
		return true;
	if (r->is_anchored)
		return false;
	run_scan(r, &s, all, TEST_MANY);
	end_scan(&s);
	return !s.failed && s.n == 0;
}
