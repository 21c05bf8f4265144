/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds documents with cJSON, which takes its memory from mem.h. No number of a record or a hash
 * passes through it: a cJSON number is a double (decisions 7). One thread.
 */
#include "document.h"

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/mem.h"
#include "runtime/doctor.h"

static void
use_our_memory(void)
{
	cJSON_Hooks hooks = {mem_alloc, mem_free};

	cJSON_InitHooks(&hooks);
}

static bool
add_text(cJSON *object, const char *name, const char *text)
{
	return cJSON_AddStringToObject(object, name, text) != NULL;
}

/* Canonical JSON of the policy's, put in as it is. */
static bool
add_raw(cJSON *object, const char *name, struct span text)
{
	char *copy = mem_dup_span(text);
	bool is_added = copy != NULL && cJSON_AddRawToObject(object, name, copy) != NULL;

	mem_free(copy);
	return is_added;
}

static bool
add_check(cJSON *list, const struct doctor_check *check)
{
	cJSON *object = cJSON_CreateObject();

	if (object == NULL || !cJSON_AddItemToArray(list, object)) {
		cJSON_Delete(object);
		return false;
	}
	return add_text(object, "id", check->id) &&
	       add_text(object, "status", check->is_ok ? "PASS" : "FAIL") &&
	       add_text(object, "message", check->message) &&
	       (check->hint == NULL || add_text(object, "hint", check->hint));
}

static bool
add_report(cJSON *root, const struct doctor_report *r, const char *engine_version)
{
	bool is_ok = add_text(root, "overall_status", r->is_ready ? "READY" : "NOT_READY");
	cJSON *checks = is_ok ? cJSON_AddArrayToObject(root, "checks") : NULL;

	is_ok = checks != NULL;
	for (size_t i = 0; is_ok && i < r->n_checks; i++)
		is_ok = add_check(checks, &r->checks[i]);
	if (is_ok && r->policy_hash[0] != '\0')
		is_ok = add_text(root, "policy_bundle_hash", r->policy_hash);
	if (is_ok && r->sources_json.n > 0)
		is_ok = add_raw(root, "policy_bundle_sources", r->sources_json);
	if (is_ok && r->inputs_json.n > 0)
		is_ok = add_raw(root, "policy_bundle_inputs", r->inputs_json);
	return is_ok && add_text(root, "assurance_level", r->assurance) &&
	       add_text(root, "engine_version", engine_version);
}

enum err
document_build_doctor(const struct doctor_report *report, const char *engine_version,
	struct buf *out, struct errinfo *ei)
{
	use_our_memory();
	cJSON *root = cJSON_CreateObject();
	char *text = NULL;

	if (root != NULL && add_report(root, report, engine_version))
		text = cJSON_PrintUnformatted(root);
	if (text != NULL) {
		buf_add_cstr(out, text);
		buf_add_char(out, '\n');
	}
	bool is_built = text != NULL && !buf_failed(out);
	cJSON_free(text);
	cJSON_Delete(root);
	return is_built ? OK : ERR(ei, ERR_NOMEM, "out of memory");
}
