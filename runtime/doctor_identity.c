/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Checks of where tokens' keys come from. Only a deep examination asks the issuer. One thread. */
#include "base/fdio.h"
#include "base/jose.h"
#include "doctor_checks.h"
#include "pipeline/key_ring.h"
#include "pipeline/options.h"

static enum finding
say_keys(struct doctor *d, struct jose_keys *own_keys, const char *where)
{
	enum finding finding =
		doctor_say(d, FINDING_PASS, "%zu keys %s", jose_keys_count(own_keys), where);

	jose_keys_unref(&own_keys);
	return finding;
}

enum err
doctor_load_keys(struct span path, struct jose_keys **out, struct errinfo *ei)
{
	struct buf text;

	*out = NULL;
	buf_init(&text, JOSE_DOCUMENT_BYTES_MAX + 1);
	enum err rc = fdio_read_file(path.p, JOSE_DOCUMENT_BYTES_MAX, &text, ei);
	if (rc == OK)
		rc = jose_keys_parse(buf_span(&text), out, ei);
	buf_fini(&text);
	return rc;
}

static enum finding
check_key_file(struct doctor *d, struct span path)
{
	struct jose_keys *keys = NULL;
	struct errinfo ei;

	if (doctor_load_keys(path, &keys, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	return say_keys(d, keys, "in a file");
}

enum finding
check_token_keys(struct doctor *d)
{
	const struct oidc_section *o = &d->in->pipeline->identity.oidc;
	const struct key_source_options options = key_source_options_of(o);
	struct jose_keys *keys = NULL;
	struct errinfo ei;

	if (!o->enabled)
		return FINDING_ABSENT;
	if (o->public_key_path.n > 0)
		return check_key_file(d, o->public_key_path);
	if (!d->in->is_deep || d->in->is_running)
		return doctor_say(d, FINDING_PASS,
			"fetched while the gateway runs; --deep asks for them now");
	if (key_source_try(&options, &keys, &ei) != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	return say_keys(d, keys, "from the issuer");
}
