/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Signing the anchor, and reading it on the thread that owns the store or the reader. */
#include "anchor.h"

#include "audit/store.h"
#include "base/buf.h"
#include "store_ops.h"

#define ANCHOR_BYTES_MAX 1024

enum err
anchor_sign(const struct sign_key *key, const struct checkpoint *end, struct checkpoint *out,
	struct errinfo *ei)
{
	*out = *end;
	return checkpoint_sign_as(ANCHOR_DOMAIN, key, out, ei);
}

bool
anchor_is_signed_by(const struct checkpoint *anchor, const struct sign_key *public_key)
{
	return checkpoint_is_signed_as(ANCHOR_DOMAIN, anchor, public_key);
}

static enum err
parse(enum err rc, const struct buf *text, struct checkpoint *out, struct errinfo *ei)
{
	if (rc == ERR_NOT_FOUND)
		return OK;
	if (rc == OK && buf_failed(text))
		return ERR(ei, ERR_CORRUPT, "the anchor is damaged: it is too long");
	if (rc == OK && checkpoint_parse_head(buf_span(text), out, ei) != OK)
		return ERR_WRAP(ei, ERR_CORRUPT, "the anchor is damaged");
	return rc;
}

enum err
anchor_read(struct store_reader *r, struct checkpoint *out, struct errinfo *ei)
{
	struct buf text;

	*out = (struct checkpoint){.at = {0}};
	buf_init(&text, ANCHOR_BYTES_MAX);
	enum err rc = parse(store_reader_meta(r, META_ANCHOR, &text, ei), &text, out, ei);
	buf_fini(&text);
	return rc;
}

enum err
anchor_load(struct store *s, struct checkpoint *out, struct errinfo *ei)
{
	struct buf text;

	*out = (struct checkpoint){.at = {0}};
	buf_init(&text, ANCHOR_BYTES_MAX);
	enum err rc = parse(s->ops->get_meta(s, META_ANCHOR, &text, ei), &text, out, ei);
	buf_fini(&text);
	return rc;
}
