/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos keys: makes API keys and shows those that a configuration has (decisions 40). A key is printed once, or written to a file
 * that is new; the configuration gets a row with its hash, and there is no way back from that. One thread.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "command.h"
#include "fresh_key.h"
#include "net/address.h"
#include "options.h"
#include "stream.h"

#define DAYS_MAX 36500
#define NS_PER_DAY (86400 * NS_PER_SEC)

struct wishes {
	const char *principal;
	const char *owner;
	const char *name;
	const char *roles;
	const char *agents;
	const char *networks;
	const char *expires;
	const char *key_file;
	char expires_text[CLOCK_TEXT_MAX];
};

/* The next part of "a, b", trimmed; false when there is none. */
static bool
next_part(struct span *rest, struct span *part)
{
	size_t comma;

	if (rest->n == 0)
		return false;
	comma = span_find(*rest, ',');
	*part = span_trim(span_of(rest->p, comma));
	*rest = span_from(*rest, comma < rest->n ? comma + 1 : rest->n);
	return true;
}

typedef bool (*part_fn)(struct span part);

static bool
is_role(struct span part)
{
	return config_word_index("viewer|approver|operator", part) >= 0;
}

static bool
is_network(struct span part)
{
	struct address_network network;
	struct errinfo ei;

	return address_network_parse(part, &network, &ei) == OK;
}

static bool
is_name(struct span part)
{
	return part.n > 0 && http_is_header_value(part);
}

static enum err
check_parts(const char *flag, const char *text, part_fn is_good, struct errinfo *ei)
{
	struct span rest = span_cstr(text);
	struct span part;

	while (next_part(&rest, &part))
		if (!is_good(part))
			return ERR(ei, ERR_INVALID, "--%s: \"%.*s\" is none", flag, SPAN_ARG(part));
	return OK;
}

/* "90d" from now, or a date and time. */
static enum err
read_expiry(struct wishes *w, struct errinfo *ei)
{
	struct span text = span_cstr(w->expires);
	uint64_t days;
	int64_t at_ns;

	if (w->expires == NULL)
		return OK;
	if (span_ends(text, SPAN_LIT("d")) &&
		parse_uint(span_of(text.p, text.n - 1), DAYS_MAX, &days) && days > 0)
		at_ns = clock_wall_ns() / NS_PER_SEC * NS_PER_SEC + (int64_t)days * NS_PER_DAY;
	else if (clock_parse(text, &at_ns, ei) != OK)
		return ERR(ei, ERR_INVALID, "--expires %s is neither 90d nor 2027-01-31T00:00:00Z",
			w->expires);
	clock_format(at_ns, w->expires_text);
	return OK;
}

static enum err
check_name(const char *name, struct errinfo *ei)
{
	for (const char *c = name; *c != '\0'; c++) {
		bool is_plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
				(*c >= 'A' && *c <= 'Z');
		if (!is_plain || c - name == FRESH_KEY_NAME_MAX)
			return ERR(ei, ERR_INVALID, "--name is at most %d letters and digits",
				FRESH_KEY_NAME_MAX);
	}
	return OK;
}

static enum err
check_wishes(struct wishes *w, struct errinfo *ei)
{
	enum err rc = check_name(w->name, ei);

	if (w->principal == NULL || !is_name(span_cstr(w->principal)))
		return ERR(ei, ERR_INVALID, "--principal says who the bearer of the key is");
	if (rc == OK && w->owner != NULL && !is_name(span_cstr(w->owner)))
		rc = ERR(ei, ERR_INVALID, "--owner is not one line of text");
	if (rc == OK)
		rc = check_parts("roles", w->roles, is_role, ei);
	if (rc == OK)
		rc = check_parts("agents", w->agents, is_name, ei);
	if (rc == OK)
		rc = check_parts("networks", w->networks, is_network, ei);
	return rc == OK ? read_expiry(w, ei) : rc;
}

static void
add_text(struct buf *out, const char *member, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	buf_printf(out, ", %s: ", member);
	json_quote(out, span_cstr(text));
}

static void
add_list(struct buf *out, const char *member, const char *text)
{
	struct span rest = span_cstr(text);
	struct span part;
	bool is_first = true;

	if (rest.n == 0)
		return;
	buf_printf(out, ", %s: [", member);
	while (next_part(&rest, &part)) {
		buf_add_cstr(out, is_first ? "" : ", ");
		json_quote(out, part);
		is_first = false;
	}
	buf_add_char(out, ']');
}

static void
add_row(struct buf *out, const struct wishes *w, const struct fresh_key *key)
{
	buf_printf(out, "    - {id: %s", key->id);
	add_text(out, "principal", w->principal);
	buf_printf(out, ", hash: \"sha256:%s\"", key->hash);
	add_text(out, "owner", w->owner);
	add_list(out, "roles", w->roles);
	add_list(out, "agents", w->agents);
	add_list(out, "networks", w->networks);
	add_text(out, "expires", w->expires_text);
	BUF_ADD_LIT(out, "}\n");
}

/* The key to its file, or to stdout above the row. */
static enum err
give_key(const struct wishes *w, const struct fresh_key *key, struct buf *out, struct errinfo *ei)
{
	char line[sizeof(key->text) + 1];
	struct stat st;
	int n = snprintf(line, sizeof(line), "%s\n", key->text);
	enum err rc = OK;

	if (w->key_file == NULL)
		buf_printf(out, "# the key, which is shown this once:\n%s\n", key->text);
	else if (lstat(w->key_file, &st) == 0)
		rc = ERR(ei, ERR_CONFLICT, "%s is there already", w->key_file);
	else
		rc = fdio_write_file(w->key_file, span_of(line, (size_t)n), 0600, ei);
	mem_wipe(line, sizeof(line));
	return rc;
}

static int
make(struct wishes *w)
{
	struct fresh_key key;
	struct errinfo ei;
	struct buf out;

	buf_init(&out, BUF_CAP_RECORD);
	/* Room at once: growing would leave copies of the key. */
	enum err rc = buf_reserve(&out, 16384) != NULL ? check_wishes(w, &ei)
						       : ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc == OK)
		rc = fresh_key_make(w->name, &key, &ei);
	if (rc == OK)
		rc = give_key(w, &key, &out, &ei);
	if (rc == OK) {
		BUF_ADD_LIT(&out, "# for the configuration, below identity.hashed_keys:\n");
		add_row(&out, w, &key);
	}
	int status = rc == OK ? stream_print_buf(&out) : command_fail("%s", ei.msg);
	mem_wipe(&key, sizeof(key));
	if (out.p != NULL)
		mem_wipe(out.p, out.size);
	buf_fini(&out);
	return status;
}

static int
run_new(const struct command *self, int argc, char **argv)
{
	struct wishes w = {.name = ""};
	const struct flag flags[] = {
		{"principal", "p", FLAG_TEXT, &w.principal, "NAME", NULL,
			"who the bearer is; required"},
		{"owner", "o", FLAG_TEXT, &w.owner, "TEXT", NULL, "whom to ask about the key"},
		{"name", "n", FLAG_TEXT, &w.name, "NAME", NULL, "beginning of the key's id"},
		{"roles", NULL, FLAG_TEXT, &w.roles, "LIST", NULL,
			"roles of the principal that it may use; default: all"},
		{"agents", NULL, FLAG_TEXT, &w.agents, "LIST", NULL,
			"agents it may act through; default: all of the principal"},
		{"networks", NULL, FLAG_TEXT, &w.networks, "LIST", NULL,
			"addresses and networks it is known from; default: all"},
		{"expires", "e", FLAG_TEXT, &w.expires, "TIME", NULL,
			"90d, or 2027-01-31T00:00:00Z; default: never"},
		{"key-file", "k", FLAG_TEXT, &w.key_file, "FILE", NULL,
			"write the key into this new file, and do not print it"},
	};
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	return f == FLAGS_OK ? make(&w) : flags_exit(f);
}

static void
add_strings(struct buf *out, const char *member, const struct config_strings *v)
{
	for (size_t i = 0; i < v->n; i++) {
		buf_printf(out, i == 0 ? " %s=" : ",", member);
		stream_add_visible(out, v->v[i]);
	}
}

static void
add_known(struct buf *out, const struct identity_key_section *key)
{
	struct errinfo ei;
	int64_t at_ns = INT64_MAX;

	stream_add_visible(out, key->id);
	BUF_ADD_LIT(out, " principal=");
	stream_add_visible(out, key->principal);
	if (key->owner.n > 0) {
		BUF_ADD_LIT(out, " owner=");
		stream_add_visible(out, key->owner);
	}
	add_strings(out, "roles", &key->roles);
	add_strings(out, "agents", &key->agents);
	add_strings(out, "networks", &key->networks);
	if (key->expires.n > 0) {
		BUF_ADD_LIT(out, " expires=");
		stream_add_visible(out, key->expires);
		if (clock_parse(key->expires, &at_ns, &ei) != OK || at_ns <= clock_wall_ns())
			BUF_ADD_LIT(out, " (expired)");
	}
	buf_add_char(out, '\n');
}

static int
list(const char *file)
{
	struct loaded_config *config = NULL;
	struct errinfo ei;
	struct buf out;

	if (file == NULL)
		return command_fail("--config/-c is required (or NOMOS_CONFIG)");
	if (loaded_config_read(file, NULL, &config, &ei) != OK) {
		if (config != NULL)
			loaded_config_print(config);
		loaded_config_free(&config);
		return command_fail("%s", ei.msg);
	}
	const struct identity_section *o = &config->options.identity;
	buf_init(&out, BUF_CAP_FILE);
	for (size_t i = 0; i < o->hashed_keys.n; i++)
		add_known(&out, &o->hashed_keys.v[i]);
	int status = stream_print_buf(&out);
	if (o->api_keys.n > 0)
		log_warn(NULL, "%zu more stand in clear in identity.api_keys", o->api_keys.n);
	buf_fini(&out);
	loaded_config_free(&config);
	return status;
}

static int
run_list(const struct command *self, int argc, char **argv)
{
	const char *file = NULL;
	const struct flag flags[] = {
		{"config", "c", FLAG_TEXT, &file, "FILE", "NOMOS_CONFIG",
			"configuration, JSON or YAML"},
	};
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	return f == FLAGS_OK ? list(file) : flags_exit(f);
}

static const struct command subcommands[] = {
	{.name = "new",
		.summary = "Make an API key, and the row that the configuration needs of it",
		.usage = "nomos keys new --principal NAME [--owner TEXT] [--roles LIST] "
			 "[--agents LIST] [--networks LIST] [--expires TIME] [--key-file FILE]",
		.examples = "  nomos keys new --principal robot --owner 'ci team' --agents builder "
			    "--expires 90d --key-file robot.key\n",
		.run = run_new},
	{.name = "list",
		.summary = "The API keys of a configuration, without their secrets",
		.usage = "nomos keys list -c FILE",
		.run = run_list},
};

const struct command cmd_keys = {
	.name = "keys",
	.summary = "Make API keys, list them",
	.usage = "nomos keys new|list",
	.subcommands = subcommands,
	.n_subcommands = ARRAY_LEN(subcommands),
};
