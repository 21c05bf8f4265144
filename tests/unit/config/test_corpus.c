/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/corpus/config: every file of good/ loads, and its dump read again gives the same dump in
 * both forms; every file of bad/ gives exactly the lines of its .expected. NAME.env beside a file
 * is its environment, NAME.expected in good/ its warnings and notes.
 */
#include <dirent.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "config/print.h"
#include "sample.h"
#include "support/test.h"

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)

struct one_case {
	char name[256]; /* "range.json" */
	struct buf text;
	struct buf env_text;
	struct buf expected;
	struct span env;
};

/* The content of dir/stem + suffix; empty when there is none. */
static void
read_beside(const char *dir, const char *name, const char *suffix, struct buf *out)
{
	char path[1024];
	const char *dot = strrchr(name, '.');

	snprintf(path, sizeof(path), "%s/%.*s%s", dir, (int)(dot - name), name, suffix);
	buf_init(out, BUF_CAP_FILE);
	enum err rc = fdio_read_file(path, BUF_CAP_FILE, out, NULL);
	CHECK(rc == OK || rc == ERR_NOT_FOUND);
}

static struct config_input
input_of(struct one_case *c)
{
	for (size_t i = 0; i < c->env_text.n; i++)
		if (c->env_text.p[i] == '\n')
			c->env_text.p[i] = '\0';
	c->env = buf_span(&c->env_text);
	return (struct config_input){.file = c->name,
		.text = buf_span(&c->text),
		.directory = "/etc/nomos",
		.env = sample_getenv,
		.env_arg = &c->env};
}

static void
compare_issues(const struct one_case *c, const struct config_report *report)
{
	struct buf got;

	buf_init(&got, BUF_CAP_FILE);
	for (size_t i = 0; i < report->n_issues; i++)
		buf_printf(&got, "%.*s\n", SPAN_ARG(report->issues[i].text));
	if (!span_eq(buf_span(&got), buf_span(&c->expected)))
		FAIL("%s: got\n%.*swanted\n%.*s", c->name, SPAN_ARG(buf_span(&got)),
			SPAN_ARG(buf_span(&c->expected)));
	buf_fini(&got);
}

static void
expect_bad(struct one_case *c)
{
	struct config_report report;
	struct sample options;
	struct config_input in = input_of(c);
	static const struct sample zero;
	struct arena *a = arena_new(ARENA_BYTES);

	enum err rc = config_load(&sample_config, &in, a, &options, &report, NULL);
	if (rc != ERR_INVALID && rc != ERR_PARSE)
		FAIL("%s: returned %s", c->name, err_name(rc));
	CHECK(memcmp(&options, &zero, sizeof(zero)) == 0);
	compare_issues(c, &report);
	arena_free(&a);
}

/* Loads the dump under a name of the wanted form and dumps again. */
static void
check_round_trip(const struct sample *options, bool yaml)
{
	void (*dump)(const struct config_object *, const void *, struct buf *) =
		yaml ? config_dump_yaml : config_dump_json;
	struct config_report report;
	struct errinfo ei = {.msg = ""};
	struct sample again;
	struct buf first;
	struct buf second;
	struct arena *a = arena_new(ARENA_BYTES);

	buf_init(&first, BUF_CAP_FILE);
	buf_init(&second, BUF_CAP_FILE);
	dump(&sample_config, options, &first);
	struct config_input in = {.file = yaml ? "dump.yaml" : "dump.json",
		.text = buf_span(&first),
		.directory = "/elsewhere",
		.accept_hidden = true};
	if (config_load(&sample_config, &in, a, &again, &report, &ei) != OK)
		FAIL("dump does not load: %s\n%.*s", ei.msg, SPAN_ARG(buf_span(&first)));
	dump(&sample_config, &again, &second);
	CHECK(first.n > 100);
	if (!span_eq(buf_span(&first), buf_span(&second)))
		FAIL("dumps differ:\n%.*s\n%.*s", SPAN_ARG(buf_span(&first)),
			SPAN_ARG(buf_span(&second)));
	buf_fini(&first);
	buf_fini(&second);
	arena_free(&a);
}

static void
expect_good(struct one_case *c)
{
	struct config_report report;
	struct sample options;
	struct errinfo ei;
	struct config_input in = input_of(c);
	struct arena *a = arena_new(ARENA_BYTES);

	if (config_load(&sample_config, &in, a, &options, &report, &ei) != OK) {
		FAIL("%s: %s", c->name, ei.msg);
	} else {
		compare_issues(c, &report);
		check_round_trip(&options, true);
		check_round_trip(&options, false);
	}
	config_wipe(&sample_config, &options);
	arena_free(&a);
}

static void
run_folder(const char *folder, void (*expect)(struct one_case *c))
{
	char dir[512];
	unsigned n = 0;

	snprintf(dir, sizeof(dir), "%s/corpus/config/%s", test_source_dir(), folder);
	DIR *d = opendir(dir);
	if (d == NULL) {
		FAIL("no folder %s", dir);
		return;
	}
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		struct one_case c = {.name = ""};
		struct span name = span_cstr(e->d_name);
		if (!span_ends(name, SPAN_LIT(".json")) && !span_ends(name, SPAN_LIT(".yaml")))
			continue;
		snprintf(c.name, sizeof(c.name), "%s", e->d_name);
		read_beside(dir, c.name, strrchr(c.name, '.'), &c.text);
		read_beside(dir, c.name, ".env", &c.env_text);
		read_beside(dir, c.name, ".expected", &c.expected);
		expect(&c);
		buf_fini(&c.text);
		buf_fini(&c.env_text);
		buf_fini(&c.expected);
		n++;
	}
	closedir(d);
	CHECK(n >= 5);
}

TEST(bad_files_give_their_messages)
{
	run_folder("bad", expect_bad);
}

TEST(good_files_load_and_round_trip)
{
	run_folder("good", expect_good);
}

SUITE("config corpus", TEST_ROW(bad_files_give_their_messages),
	TEST_ROW(good_files_load_and_round_trip))
