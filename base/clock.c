/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that asks the system for the time, and the text forms of it. Must never depend on
 * the time zone or the locale of the process. Any thread; the fake times of tests are atomics.
 */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/must.h"

#define SECONDS_PER_DAY INT64_C(86400)

static atomic_bool is_fake;
static _Atomic int64_t fake_mono_ns;
static _Atomic int64_t fake_wall_ns;

struct civil {
	int64_t year;
	unsigned month; /* 1 to 12 */
	unsigned day;   /* 1 to 31 */
	unsigned hour;
	unsigned minute;
	unsigned second;
	unsigned nano;
	unsigned weekday; /* 0: Sunday */
};

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	MUST(clock_gettime(id, &ts) == 0);
	return (int64_t)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

int64_t
clock_mono_ns(void)
{
	if (atomic_load_explicit(&is_fake, memory_order_acquire))
		return atomic_load_explicit(&fake_mono_ns, memory_order_relaxed);
	return read_clock(CLOCK_MONOTONIC);
}

int64_t
clock_wall_ns(void)
{
	if (atomic_load_explicit(&is_fake, memory_order_acquire))
		return atomic_load_explicit(&fake_wall_ns, memory_order_relaxed);
	return read_clock(CLOCK_REALTIME);
}

int64_t
clock_process_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t
clock_thread_cpu_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void
clock_fake_set(int64_t mono_ns, int64_t wall_ns)
{
	atomic_store_explicit(&fake_mono_ns, mono_ns, memory_order_relaxed);
	atomic_store_explicit(&fake_wall_ns, wall_ns, memory_order_relaxed);
	atomic_store_explicit(&is_fake, true, memory_order_release);
}

void
clock_fake_advance(int64_t ns)
{
	atomic_fetch_add_explicit(&fake_mono_ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&fake_wall_ns, ns, memory_order_relaxed);
}

void
clock_fake_off(void)
{
	atomic_store_explicit(&is_fake, false, memory_order_release);
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Years start in March
 * here, so that the leap day is a year's last. */
static int64_t
days_of_date(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(y, 400);
	int64_t year_of_era = y - era * 400;
	int64_t shifted_month = month > 2 ? month - 3 : month + 9;
	int64_t day_of_year = (153 * shifted_month + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void
set_date(struct civil *c, int64_t days)
{
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted_month = (5 * day_of_year + 2) / 153;

	c->day = (unsigned)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
	c->month = (unsigned)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
	c->year = year_of_era + era * 400 + (c->month <= 2 ? 1 : 0);
	/* 1970-01-01 was a Thursday. */
	c->weekday = (unsigned)(((days + 4) % 7 + 7) % 7);
}

static struct civil
civil_of(int64_t wall_ns)
{
	struct civil c = {0};
	int64_t seconds = floor_div(wall_ns, NS_PER_SEC);
	int64_t days = floor_div(seconds, SECONDS_PER_DAY);
	unsigned of_day = (unsigned)(seconds - days * SECONDS_PER_DAY);

	set_date(&c, days);
	c.hour = of_day / 3600;
	c.minute = of_day / 60 % 60;
	c.second = of_day % 60;
	c.nano = (unsigned)(wall_ns - seconds * NS_PER_SEC);
	return c;
}

/* The last n decimal digits of v; returns the place behind them. */
static char *
put_digits(char *to, uint64_t v, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		to[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return to + n;
}

/* Each record has one: snprintf would cost more than hashing half of it. */
size_t
clock_format(int64_t wall_ns, char out[CLOCK_TEXT_MAX])
{
	const struct civil c = civil_of(wall_ns);
	const struct {
		uint64_t v;
		int n;
		char end;
	} parts[] = {
		{(uint64_t)c.year, 4, '-'},
		{c.month, 2, '-'},
		{c.day, 2, 'T'},
		{c.hour, 2, ':'},
		{c.minute, 2, ':'},
		{c.second, 2, '.'},
		{c.nano, 9, 'Z'},
	};
	char *to = out;

	/* Nanoseconds since 1970 in 64 bits end in the year 2262 and begin in 1677. */
	MUST(c.year >= 0 && c.year <= 9999);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		to = put_digits(to, parts[i].v, parts[i].n);
		*to++ = parts[i].end;
	}
	to--;
	while (to[-1] == '0')
		to--;
	if (to[-1] == '.')
		to--;
	*to++ = 'Z';
	*to = '\0';
	return (size_t)(to - out);
}

size_t
clock_format_http(int64_t wall_ns, char out[CLOCK_TEXT_MAX])
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct civil c = civil_of(wall_ns);
	int n = snprintf(out, CLOCK_TEXT_MAX, "%s, %02u %s %04lld %02u:%02u:%02u GMT",
		days[c.weekday], c.day, months[c.month - 1], (long long)c.year, c.hour, c.minute,
		c.second);

	MUST(n > 0 && n < CLOCK_TEXT_MAX);
	return (size_t)n;
}

/* A place in a text that is read from left to right; ok turns false at the first thing that is
 * not there. */
struct reader {
	struct span left;
	bool ok;
};

static char
read_char(struct reader *r)
{
	if (r->left.n == 0) {
		r->ok = false;
		return '\0';
	}
	char c = r->left.p[0];
	r->left = span_from(r->left, 1);
	return c;
}

static void
expect(struct reader *r, char wanted)
{
	if (read_char(r) != wanted)
		r->ok = false;
}

/* Exactly n digits, within a range. */
static unsigned
read_digits(struct reader *r, unsigned n, unsigned min, unsigned max)
{
	unsigned v = 0;

	for (unsigned i = 0; i < n; i++) {
		char c = read_char(r);
		if (c < '0' || c > '9') {
			r->ok = false;
			return min;
		}
		v = v * 10 + (unsigned)(c - '0');
	}
	if (v < min || v > max)
		r->ok = false;
	return v;
}

static bool
is_at_digit(const struct reader *r)
{
	return r->left.n > 0 && r->left.p[0] >= '0' && r->left.p[0] <= '9';
}

/* The digits behind the dot as nanoseconds; digits after the ninth are read and dropped. */
static unsigned
read_fraction(struct reader *r)
{
	unsigned nano = 0;
	unsigned scale = 100000000;

	if (!is_at_digit(r))
		r->ok = false;
	while (is_at_digit(r)) {
		nano += (unsigned)(read_char(r) - '0') * scale;
		scale /= 10;
	}
	return nano;
}

/* "Z" or "+hh:mm" or "-hh:mm", as seconds east of UTC. */
static int64_t
read_offset(struct reader *r)
{
	char sign = read_char(r);

	if (sign == 'Z')
		return 0;
	if (sign != '+' && sign != '-') {
		r->ok = false;
		return 0;
	}
	int64_t hours = read_digits(r, 2, 0, 23);
	expect(r, ':');
	int64_t minutes = read_digits(r, 2, 0, 59);
	int64_t east = hours * 3600 + minutes * 60;
	return sign == '-' ? -east : east;
}

static unsigned
days_in_month(int64_t year, unsigned month)
{
	static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && is_leap ? 1u : 0u);
}

static struct civil
read_civil(struct reader *r)
{
	struct civil c = {0};

	c.year = read_digits(r, 4, 0, 9999);
	expect(r, '-');
	c.month = read_digits(r, 2, 1, 12);
	expect(r, '-');
	c.day = read_digits(r, 2, 1, r->ok ? days_in_month(c.year, c.month) : 31);
	expect(r, 'T');
	c.hour = read_digits(r, 2, 0, 23);
	expect(r, ':');
	c.minute = read_digits(r, 2, 0, 59);
	expect(r, ':');
	c.second = read_digits(r, 2, 0, 59);
	if (r->left.n > 0 && r->left.p[0] == '.') {
		expect(r, '.');
		c.nano = read_fraction(r);
	}
	return c;
}

enum err
clock_parse(struct span text, int64_t *wall_ns, struct errinfo *ei)
{
	struct reader r = {text, true};

	*wall_ns = 0;
	struct civil c = read_civil(&r);
	int64_t east = read_offset(&r);
	if (!r.ok || r.left.n > 0)
		return ERR(ei, ERR_PARSE, "not an RFC 3339 time");
	int64_t seconds = days_of_date(c.year, c.month, c.day) * SECONDS_PER_DAY + c.hour * 3600 +
			  c.minute * 60 + c.second - east;
	/* One second is kept back on each side for the nanoseconds. */
	if (seconds <= INT64_MIN / NS_PER_SEC || seconds >= INT64_MAX / NS_PER_SEC)
		return ERR(ei, ERR_PARSE, "time is outside the years 1678 to 2261");
	*wall_ns = seconds * NS_PER_SEC + c.nano;
	return OK;
}
