/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos config diff: what a reload would change, one line for each key. Of two files, read here; or of a running gateway and its own
 * files, which only it can compare: it is asked as an operator (GET /admin/reload) and tells no text that stands in them.
 */
#include "config_diff.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "command.h"
#include "config/print.h"
#include "operator_call.h"
#include "options.h"
#include "stream.h"

#define REPLY_ARENA_BYTES (128 * 1024 * 1024)
#define NEEDS_RESTART "  (needs a restart)\n"

struct change_list {
	struct buf *out;
	size_t n;
	bool needs_restart;
};

static void
add_change(const struct config_change *change, void *arg)
{
	struct change_list *l = arg;

	l->n++;
	l->needs_restart = l->needs_restart || change->needs_restart;
	buf_add_cstr(l->out, change->path);
	BUF_ADD_LIT(l->out, ": ");
	config_print_change(change, l->out);
	buf_add_cstr(l->out, change->needs_restart ? NEEDS_RESTART : "\n");
}

static int
print_changes(const struct loaded_config *before, const struct loaded_config *after)
{
	struct buf b;
	struct change_list l = {.out = &b};

	buf_init(&b, BUF_CAP_FILE);
	config_compare(&nomos_options_config, &before->options, &after->options, add_change, &l);
	int status = stream_print_buf(&b);

	buf_fini(&b);
	if (status == EXIT_DONE && l.needs_restart)
		status = command_fail(
			"a reload would be refused: restart, or take back what needs it");
	else if (status == EXIT_DONE)
		log_ok("%s", l.n > 0 ? "a reload would take all of this" : "no key differs");
	return status;
}

static int
load_for_diff(const char *file, struct loaded_config **out)
{
	struct errinfo ei;
	enum err rc = loaded_config_read(file, NULL, out, &ei);

	if (rc == OK)
		return EXIT_DONE;
	loaded_config_print(*out);
	return command_fail("%s: %s", file, ei.msg);
}

static int
compare_files(const char *old_file, const char *new_file)
{
	struct loaded_config *before = NULL;
	struct loaded_config *after = NULL;
	int status = load_for_diff(old_file, &before);

	if (status == EXIT_DONE)
		status = load_for_diff(new_file, &after);
	if (status == EXIT_DONE)
		status = print_changes(before, after);
	loaded_config_free(&before);
	loaded_config_free(&after);
	return status;
}

static void
add_key(struct buf *out, const struct json *change)
{
	struct span values = operator_find_text(change, "change");

	stream_add_visible(out, operator_find_text(change, "key"));
	BUF_ADD_LIT(out, ": ");
	stream_add_visible(out, values.n > 0 ? values : SPAN_LIT("changed"));
	buf_add_cstr(out, span_eq_cstr(operator_find_text(change, "takes"), "restart")
				  ? NEEDS_RESTART
				  : "\n");
}

static void
add_answer(struct buf *out, const struct json *tree)
{
	const struct json *changes = json_find_cstr(tree, "changes");
	struct span running = operator_find_text(tree, "policy_bundle_hash");
	struct span on_disk = operator_find_text(tree, "policy_bundle_hash_on_disk");

	for (const struct json *c = changes != NULL ? changes->first : NULL; c != NULL; c = c->next)
		add_key(out, c);
	if (on_disk.n == 0 || span_eq(running, on_disk))
		return;
	BUF_ADD_LIT(out, "policy: ");
	stream_add_visible(out, running);
	BUF_ADD_LIT(out, " -> ");
	stream_add_visible(out, on_disk);
	buf_add_char(out, '\n');
}

/* The last line, and the exit status that follows of it. */
static int
judge_answer(const struct json *tree)
{
	struct span error = operator_find_text(tree, "error");
	const struct json *changes = json_find_cstr(tree, "changes");
	bool is_same = (changes == NULL || changes->first == NULL) &&
		       span_eq(operator_find_text(tree, "policy_bundle_hash"),
			       operator_find_text(tree, "policy_bundle_hash_on_disk"));
	struct buf text;
	int status = EXIT_DONE;

	buf_init(&text, BUF_CAP_LOG_LINE);
	stream_add_visible(&text, error);
	if (!span_eq_cstr(operator_find_text(tree, "outcome"), "success"))
		status = command_fail("a reload would be refused: %s",
			text.n > 0 ? text.p : "the gateway does not say why");
	else
		log_ok("%s", is_same ? "no key differs, nor does the policy"
				     : "a reload would take all of this");
	buf_fini(&text);
	return status;
}

static int
ask_gateway(const struct operator_flags *f, bool is_json)
{
	static const struct operator_question q = {
		.path = "/admin/reload", .answer_has = "outcome"};
	struct arena *arena = arena_new(REPLY_ARENA_BYTES);
	const struct json *tree = NULL;
	struct buf reply;

	buf_init(&reply, OPERATOR_REPLY_BYTES_MAX + 1);
	int status = operator_fetch(f, &q, &reply);
	if (status == EXIT_DONE)
		status = operator_print_reply(&reply, is_json, add_answer);
	if (status == EXIT_DONE &&
		(arena == NULL || json_parse(buf_span(&reply), arena, &tree, NULL, NULL) != OK))
		status = command_fail("out of memory");
	if (status == EXIT_DONE)
		status = judge_answer(tree);
	buf_fini(&reply);
	arena_free(&arena);
	return status;
}

int
config_run_diff(const struct command *self, int argc, char **argv)
{
	struct operator_flags f = {.format = NULL};
	const struct flag flags[] = {OPERATOR_FLAGS(f)};
	bool is_json = false;
	int rest = 0;
	enum flags_result r = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 2, &rest);

	if (r != FLAGS_OK)
		return flags_exit(r);
	if (argc - rest == 2)
		return compare_files(argv[rest], argv[rest + 1]);
	if (argc - rest != 0)
		return command_fail("name two files, or none: %s", self->usage);
	if (!operator_parse_format(f.format, &is_json))
		return EXIT_FAILED;
	return ask_gateway(&f, is_json);
}
