/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos init: a folder with a configuration, a policy, fresh keys, a workspace and actions to try
 * (decisions 45). It never overwrites: keys/ is made first and must be new, nomos.yaml comes last,
 * and what a failed run wrote is taken away again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/mem.h"
#include "command.h"
#include "fresh_key.h"
#include "starter.h"
#include "stream.h"

#define INIT_ARENA_BYTES (256 * 1024)
#define SECRET_BYTES 32
#define FILE_BYTES_MAX (64 * 1024)

struct fresh {
	struct fresh_key agent;
	struct fresh_key operator;
	char agent_secret[2 * SECRET_BYTES + 1];
};

struct planned {
	const char *path;
	struct span (*text)(void); /* of configs/starter/; NULL: value */
	const char *value;         /* a secret line */
	unsigned mode;
};

struct init {
	const char *dir;
	struct arena *arena;
	struct fresh fresh;
	const char *made[32]; /* what this run made, to be taken away on failure */
	size_t n_made;
};

static enum err
make_fresh(struct fresh *f, struct errinfo *ei)
{
	enum err rc = fresh_key_make("agent", &f->agent, ei);

	if (rc == OK)
		rc = fresh_key_make("operator", &f->operator, ei);
	if (rc == OK)
		rc = fresh_hex(SECRET_BYTES, f->agent_secret, ei);
	return rc;
}

static const char *
path_of(struct init *in, const char *name)
{
	return fdio_join(in->arena, in->dir, span_cstr(name));
}

static bool
is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void
remember(struct init *in, const char *path)
{
	if (in->n_made < ARRAY_LEN(in->made))
		in->made[in->n_made++] = path;
}

/* The folder with those above it; one that is there already is fine. */
static enum err
make_folders(struct init *in, struct errinfo *ei)
{
	char *path = arena_dup_cstr(in->arena, span_cstr(in->dir));
	struct stat st;

	if (path == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	for (char *p = path + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(path, 0777); /* the last one says whether it worked */
		*p = '/';
	}
	if (mkdir(path, 0777) == 0)
		remember(in, path);
	else if (errno != EEXIST)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", in->dir);
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return ERR(ei, ERR_INVALID, "%s is not a folder", in->dir);
	return OK;
}

static enum err
make_folder(struct init *in, const char *name, unsigned mode, bool must_be_new, struct errinfo *ei)
{
	const char *path = path_of(in, name);

	if (path == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (mkdir(path, mode) == 0) {
		remember(in, path);
		return OK;
	}
	if (errno != EEXIST || must_be_new)
		return ERR_ERRNO(ei, errno == EEXIST ? ERR_CONFLICT : ERR_IO, errno, "%s", path);
	return OK;
}

static enum err
fill(const struct init *in, const struct planned *p, struct buf *out, struct errinfo *ei)
{
	const struct fresh *f = &in->fresh;
	const struct starter_value values[] = {
		{"agent_key_id", span_cstr(f->agent.id)},
		{"agent_key_hash", span_cstr(f->agent.hash)},
		{"operator_key_id", span_cstr(f->operator.id)},
		{"operator_key_hash", span_cstr(f->operator.hash)},
		{"agent_secret", span_cstr(f->agent_secret)},
	};

	if (p->text != NULL)
		return starter_fill(p->text(), values, ARRAY_LEN(values), out, ei);
	buf_add_cstr(out, p->value);
	buf_add_char(out, '\n');
	return buf_failed(out) ? ERR(ei, ERR_NOMEM, "out of memory") : OK;
}

static enum err
write_planned(struct init *in, const struct planned *p, struct errinfo *ei)
{
	const char *path = path_of(in, p->path);
	struct buf text;

	if (path == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (is_there(path))
		return ERR(ei, ERR_CONFLICT, "%s is there already", path);
	buf_init(&text, FILE_BYTES_MAX);
	enum err rc = buf_reserve(&text, FILE_BYTES_MAX / 2) != NULL
			      ? fill(in, p, &text, ei)
			      : ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK)
		rc = fdio_write_file(path, buf_span(&text), p->mode, ei);
	if (rc == OK)
		remember(in, path);
	if (text.p != NULL)
		mem_wipe(text.p, text.size);
	buf_fini(&text);
	return rc;
}

static enum err
write_all(struct init *in, struct errinfo *ei)
{
	const struct planned files[] = {
		{"keys/agent", NULL, in->fresh.agent.text, 0600},
		{"keys/agent.secret", NULL, in->fresh.agent_secret, 0600},
		{"keys/operator", NULL, in->fresh.operator.text, 0600},
		{"policy.yaml", starter_policy, NULL, 0644},
		{"workspace/README.md", starter_readme, NULL, 0644},
		{"workspace/.env", starter_dotenv, NULL, 0600},
		{"actions/allow.json", starter_allow, NULL, 0644},
		{"actions/deny.json", starter_deny, NULL, 0644},
		{"actions/write.json", starter_write, NULL, 0644},
		{"actions/refund.json", starter_refund, NULL, 0644},
		{"actions/transfer.json", starter_transfer, NULL, 0644},
		{"nomos.yaml", starter_config, NULL, 0600},
	};
	static const char *const folders[] = {"workspace", "workspace/out", "actions"};
	enum err rc = make_folder(in, "keys", 0700, true, ei);

	if (rc == OK)
		rc = make_fresh(&in->fresh, ei);
	for (size_t i = 0; rc == OK && i < ARRAY_LEN(folders); i++)
		rc = make_folder(in, folders[i], 0777, false, ei);
	for (size_t i = 0; rc == OK && i < ARRAY_LEN(files); i++)
		rc = write_planned(in, &files[i], ei);
	return rc;
}

static void
take_away(struct init *in)
{
	while (in->n_made > 0) {
		in->n_made--;
		/* A folder that others have put something into stays, and that is right. */
		(void)remove(in->made[in->n_made]);
	}
}

static int
say_done(const char *dir)
{
	struct buf b;

	buf_init(&b, BUF_CAP_RECORD);
	buf_printf(&b,
		"  %s/nomos.yaml        the configuration: listens on 127.0.0.1:8080\n"
		"  %s/policy.yaml       the policy: what the agent may do\n"
		"  %s/workspace/        what file://workspace/ means\n"
		"  %s/actions/          actions to try: allow, deny, write, refund, transfer\n"
		"  %s/keys/agent        API key of the principal \"developer\", for actions\n"
		"  %s/keys/agent.secret what the agent \"dev-agent\" signs its requests with\n"
		"  %s/keys/operator     API key of the principal \"operator\", to reload and "
		"approve; no agent may have it\n",
		dir, dir, dir, dir, dir, dir, dir);
	buf_printf(&b,
		"\nnext:\n"
		"  nomos serve -c %s/nomos.yaml\n"
		"  nomos send -c %s/nomos.yaml %s/actions/allow.json\n"
		"  nomos send -c %s/nomos.yaml --explain %s/actions/deny.json\n"
		"  nomos send -c %s/nomos.yaml --wait 60 %s/actions/transfer.json\n"
		"  and decide that at http://127.0.0.1:8080/ui/ with the key in %s/keys/operator\n",
		dir, dir, dir, dir, dir, dir, dir, dir);
	int status = stream_print_buf(&b);
	buf_fini(&b);
	return status;
}

static int
init_folder(struct init *in, bool if_missing)
{
	struct errinfo ei;
	const char *config = path_of(in, "nomos.yaml");

	if (config == NULL)
		return command_fail("out of memory");
	if (is_there(config)) {
		if (if_missing)
			return EXIT_DONE;
		return command_fail("%s is there already; nothing was changed", config);
	}
	enum err rc = make_folders(in, &ei);
	if (rc == OK)
		rc = write_all(in, &ei);
	if (rc != OK) {
		take_away(in);
		return command_fail("init %s: %s; nothing was changed", in->dir, ei.msg);
	}
	log_ok("%s is ready", in->dir);
	return say_done(in->dir);
}

static int
run(const struct command *self, int argc, char **argv)
{
	bool if_missing = false;
	const struct flag flags[] = {
		{"if-missing", NULL, FLAG_SWITCH, &if_missing, NULL, NULL,
			"do nothing when DIR has a nomos.yaml"},
	};
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 1, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	struct init in = {.dir = "nomos", .arena = arena_new(INIT_ARENA_BYTES)};
	if (in.arena == NULL)
		return command_fail("out of memory");
	if (rest < argc)
		in.dir = argv[rest][0] == '\0' ? NULL
					       : fdio_join(in.arena, "", span_cstr(argv[rest]));
	int status = in.dir == NULL || in.dir[0] == '\0'
			     ? command_fail("the name of the folder is empty")
			     : init_folder(&in, if_missing);
	mem_wipe(&in.fresh, sizeof(in.fresh));
	arena_free(&in.arena);
	return status;
}

const struct command cmd_init = {
	.name = "init",
	.summary = "Make a folder with a configuration, a policy and keys to start with",
	.usage = "nomos init [--if-missing] [DIR]",
	.examples = "  nomos init demo && nomos serve -c demo/nomos.yaml\n",
	.run = run,
};
