/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* SQLite takes its memory from base/mem.h, in tests alone. */
#include <stddef.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "store_sqlite.h"

/* SQLite asks for the size of a block; ours do not know theirs, so each has it in front. */
#define SIZE_PREFIX (sizeof(max_align_t))

static void *
hook_alloc(int n)
{
	char *p = mem_alloc((size_t)n + SIZE_PREFIX);

	if (p == NULL)
		return NULL;
	*(int *)(void *)p = n;
	return p + SIZE_PREFIX;
}

static void
hook_free(void *p)
{
	if (p != NULL)
		mem_free((char *)p - SIZE_PREFIX);
}

static void *
hook_realloc(void *p, int n)
{
	char *grown = mem_realloc((char *)p - SIZE_PREFIX, (size_t)n + SIZE_PREFIX);

	if (grown == NULL)
		return NULL;
	*(int *)(void *)grown = n;
	return grown + SIZE_PREFIX;
}

static int
hook_size(void *p)
{
	return p != NULL ? *(int *)(void *)((char *)p - SIZE_PREFIX) : 0;
}

static int
hook_round_up(int n)
{
	return (n + 7) & ~7;
}

static int
hook_init(void *arg)
{
	(void)arg;
	return SQLITE_OK;
}

static void
hook_shutdown(void *arg)
{
	(void)arg;
}

bool
db_hook_memory(void)
{
	static const struct sqlite3_mem_methods methods = {hook_alloc, hook_free, hook_realloc,
		hook_size, hook_round_up, hook_init, hook_shutdown, NULL};

	/* The lookaside buffer would hide small allocations from the hook. */
	return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK &&
	       sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK;
}
