/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters that are told apart by the values of their labels: a bounded table in which adding never waits, and makes no
 * memory. What finds no room is added to one series for all the rest, so that sums stay right.
 */
#ifndef OUTBOUND_SERIES_H
#define OUTBOUND_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/metric_writer.h"
#include "base/span.h"

struct redactor;
struct series_table;

#define SERIES_MAX 1024
#define SERIES_OWNER_MAX (SERIES_MAX / 4)

/* NULL when memory is out. */
MUSTCHECK struct series_table *series_new(void);
void series_free(struct series_table **t);
/* Any thread. name and the labels' names are static; values are copied, and those that hold a secret or are long are not.
 * owner has made up the values, and gets SERIES_OWNER_MAX rows at most; none for words of our own, and then redactor is NULL. */
void series_add(struct series_table *t, struct span owner, const struct redactor *redactor,
	const char *name, const struct metric_label *labels, size_t n);
/* One family, with its samples; none when there are no samples. Any thread. */
void series_write(
	struct series_table *t, const char *name, const char *help, struct metric_writer *w);

#endif
