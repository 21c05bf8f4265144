/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See reload_preview.h. It must find what a reload would find, so it goes the same way: read, compare, compile. */
#include "reload_preview.h"

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "config/print.h"
#include "options.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"

struct preview {
	struct buf *out;
	size_t n;
	bool needs_restart;
};

/* What it is and will be, where that is no text that somebody typed. */
static void
add_values(const struct config_change *change, struct buf *out)
{
	enum config_type type = change->row->type;
	struct buf text;

	if (type != CONFIG_TYPE_BOOL && type != CONFIG_TYPE_INT && type != CONFIG_TYPE_ENUM)
		return;
	buf_init(&text, BUF_CAP_LOG_LINE);
	config_print_change(change, &text);
	BUF_ADD_LIT(out, ",\"change\":");
	json_quote(out, buf_span(&text));
	buf_fini(&text);
}

static void
add_change(const struct config_change *change, void *arg)
{
	struct preview *p = arg;

	buf_add_cstr(p->out, p->n++ > 0 ? ",{\"key\":" : "{\"key\":");
	json_quote(p->out, span_cstr(change->path));
	buf_printf(p->out, ",\"takes\":\"%s\"", change->needs_restart ? "restart" : "reload");
	add_values(change, p->out);
	buf_add_char(p->out, '}');
	p->needs_restart = p->needs_restart || change->needs_restart;
}

/* The hash of the policy that the files hold; empty when there is none that could serve. */
static void
find_hash(const struct loaded_config *fresh, char out[SHA256_HEX + 1])
{
	struct pipeline_options options;
	struct snapshot *snapshot = NULL;
	struct errinfo ei;

	out[0] = '\0';
	loaded_config_pipeline(fresh, &options);
	if (snapshot_new(&options, &snapshot, &ei) != OK)
		return;
	memcpy(out, policy_get_hash(snapshot_get_policy(snapshot)), SHA256_HEX + 1);
	snapshot_unref(&snapshot);
}

/* Why a reload would be refused; NULL: it would not. */
static const char *
find_error(bool is_valid, const struct preview *p, const char *hash)
{
	if (!is_valid)
		return "the configuration is not valid; on its host, nomos config check names "
		       "every error";
	if (p->needs_restart)
		return "a key changed that needs a restart";
	if (hash[0] == '\0')
		return "no policy, identity or workspace could be made of the files; on their "
		       "host, nomos doctor says why";
	return NULL;
}

enum err
reload_preview_build(const char *config, const char *bundle, const struct loaded_config *running,
	const char *running_hash, struct buf *out, struct errinfo *ei)
{
	struct preview p = {.out = out};
	struct loaded_config *fresh = NULL;
	char hash[SHA256_HEX + 1] = "";
	struct errinfo why;
	enum err rc = loaded_config_read(config, bundle, &fresh, &why);

	BUF_ADD_LIT(out, "{\"changes\":[");
	if (rc == OK) {
		config_compare(
			&nomos_options_config, &running->options, &fresh->options, add_change, &p);
		find_hash(fresh, hash);
	}
	loaded_config_free(&fresh);
	const char *error = find_error(rc == OK, &p, hash);
	BUF_ADD_LIT(out, "],\"policy_bundle_hash\":");
	json_quote(out, span_cstr(running_hash));
	BUF_ADD_LIT(out, ",\"policy_bundle_hash_on_disk\":");
	json_quote(out, span_cstr(hash));
	buf_printf(out, ",\"outcome\":\"%s\"", error == NULL ? "success" : "failure");
	if (error != NULL) {
		BUF_ADD_LIT(out, ",\"error\":");
		json_quote(out, span_cstr(error));
	}
	buf_add_char(out, '}');
	return buf_failed(out) ? ERR(ei, ERR_NOMEM, "out of memory") : OK;
}
