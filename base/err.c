/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Error values: the table of codes and the making of messages on the caller's stack. Must never
 * allocate, log or fail. Pure but for the errinfo it writes; any thread.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"

static const struct {
	const char *name;
	const char *text;
	bool is_retryable;
} table[ERR__MAX] = {
#define X(name, status, retryable, text) [name] = {#name, text, retryable},
#include "base/err_tbl.h"
#undef X
};

const char *
err_name(enum err code)
{
	MUST((unsigned)code < ERR__MAX);
	return table[code].name;
}

const char *
err_text(enum err code)
{
	MUST((unsigned)code < ERR__MAX);
	return table[code].text;
}

bool
err_is_retryable(enum err code)
{
	MUST((unsigned)code < ERR__MAX);
	return table[code].is_retryable;
}

/* Marks text that filled its buffer as cut: "..." at its end, no UTF-8 sequence split. */
static void
mark_cut(char text[ERRINFO_MAX])
{
	static const char dots[] = "...";
	size_t at = ERRINFO_MAX - sizeof(dots);

	while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	memcpy(text + at, dots, sizeof(dots));
}

static void format_cut(char text[ERRINFO_MAX], const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void
format_cut(char text[ERRINFO_MAX], const char *fmt, va_list ap)
{
	int n = vsnprintf(text, ERRINFO_MAX, fmt, ap);

	if (n < 0)
		text[0] = '\0';
	else if (n >= ERRINFO_MAX)
		mark_cut(text);
}

/* first ": " second; one of them alone when the other is empty. */
static void
join_cut(char out[ERRINFO_MAX], const char *first, const char *second)
{
	const char *colon = first[0] != '\0' && second[0] != '\0' ? ": " : "";
	int n = snprintf(out, ERRINFO_MAX, "%s%s%s", first, colon, second);

	if (n >= ERRINFO_MAX)
		mark_cut(out);
}

/* Messages are made beside *ei, because the arguments may point into it. */
enum err
err_set(struct errinfo *ei, enum err code, const char *fmt, ...)
{
	char text[ERRINFO_MAX];
	va_list ap;

	if (ei == NULL)
		return code;
	va_start(ap, fmt);
	format_cut(text, fmt, ap);
	va_end(ap);
	ei->code = code;
	memcpy(ei->msg, text, sizeof(text));
	return code;
}

enum err
err_wrap(struct errinfo *ei, enum err code, const char *fmt, ...)
{
	char context[ERRINFO_MAX];
	char joined[ERRINFO_MAX];
	va_list ap;

	if (ei == NULL)
		return code;
	va_start(ap, fmt);
	format_cut(context, fmt, ap);
	va_end(ap);
	join_cut(joined, context, ei->msg);
	ei->code = code;
	memcpy(ei->msg, joined, sizeof(joined));
	return code;
}

enum err
err_set_errno(struct errinfo *ei, enum err code, int errnum, const char *fmt, ...)
{
	char what[ERRINFO_MAX];
	char why[64];
	va_list ap;

	if (ei == NULL)
		return code;
	va_start(ap, fmt);
	format_cut(what, fmt, ap);
	va_end(ap);
	if (strerror_r(errnum, why, sizeof(why)) != 0)
		snprintf(why, sizeof(why), "error %d", errnum);
	ei->code = code;
	join_cut(ei->msg, what, why);
	return code;
}
