/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins of single obligation values, each the strictest that its inputs agree on. n is at least 1;
 * inputs have been checked by the load and are not changed. NULL when the arena is full. Pure; any
 * thread.
 */
#ifndef POLICY_OBLIGATION_VALUE_H
#define POLICY_OBLIGATION_VALUE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/json.h"

struct arena;

/* The least integer. */
MUSTCHECK struct json *value_least(const struct json *const *v, size_t n, struct arena *a);
/* True when all are. */
MUSTCHECK struct json *value_and(const struct json *const *v, size_t n, struct arena *a);
/* The strongest sandbox mode, as a string. */
MUSTCHECK struct json *value_strongest(const struct json *const *v, size_t n, struct arena *a);
/* Strings that are in every list, sorted. */
MUSTCHECK struct json *value_intersect(const struct json *const *v, size_t n, struct arena *a);
/*
 * Argv prefixes that satisfy every list: of two where one begins with the other, the longer.
 * Sorted.
 */
MUSTCHECK struct json *value_intersect_prefixes(
	const struct json *const *v, size_t n, struct arena *a);
/* {"argv_patterns": patterns that every list has}. */
MUSTCHECK struct json *value_intersect_constraints(
	const struct json *const *v, size_t n, struct arena *a);
/* {"argv_patterns": patterns that any list has}, sorted, each once. */
MUSTCHECK struct json *value_unite_constraints(
	const struct json *const *v, size_t n, struct arena *a);
/* Members are conditions that hold together: lists intersected, min the greatest. */
MUSTCHECK struct json *value_join_approvers(const struct json *const *v, size_t n, struct arena *a);
/* The value when all are equal, else the sorted list of the different ones. */
MUSTCHECK struct json *value_unite(const struct json *const *v, size_t n, struct arena *a);

/* Order of argv lists: by their tokens joined with NUL (nomos-policy.md 2.9). */
int value_compare_argv(const struct json *a, const struct json *b);
/* Appends to the list copies of those elements, sorted by value_compare_argv, each once. */
MUSTCHECK bool value_add_argv_sorted(
	struct json *list, const struct json **elements, size_t n, struct arena *a);

#endif
