/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who signs, with all secrets and keys of each: the current ones and those that are being replaced. Building: start and reload.
 */
#include "base/arena.h"
#include "base/map.h"
#include "base/secret.h"
#include "base/sign.h"
#include "identity/identity_rows.h"

static enum err
no_memory(struct errinfo *ei)
{
	return ERR(ei, ERR_NOMEM, "out of memory for identities");
}

/* NULL when memory is out. */
static struct signer *
need_signer(struct signer_table *t, struct span id, struct arena *a)
{
	struct signer *signer = map_find(t->by_id, id);

	if (signer != NULL)
		return signer;
	signer = ARENA_NEW(a, struct signer);
	if (signer == NULL)
		return NULL;
	signer->id = arena_dup(a, id);
	return map_put(t->by_id, id, signer, NULL) ? signer : NULL;
}

static enum err
add_secrets(struct signer_table *t, const struct config_map *secrets, struct arena *a,
	struct errinfo *ei)
{
	for (size_t i = 0; i < secrets->n; i++) {
		struct signer *signer = need_signer(t, secrets->v[i].key, a);

		if (signer == NULL)
			return no_memory(ei);
		if (signer->n_secrets == SIGNER_SECRETS_MAX)
			return ERR(ei, ERR_TOO_LARGE, "a signer has too many secrets");
		struct secret **secret = &signer->secrets[signer->n_secrets];
		*secret = secret_new(secrets->v[i].value);
		if (*secret == NULL)
			return no_memory(ei);
		signer->n_secrets++;
		if (t->n_secrets_max < signer->n_secrets)
			t->n_secrets_max = signer->n_secrets;
	}
	return OK;
}

static enum err
add_keys(struct signer_table *t, const struct config_map *keys, struct arena *a, struct errinfo *ei)
{
	for (size_t i = 0; i < keys->n; i++) {
		struct signer *signer = need_signer(t, keys->v[i].key, a);

		if (signer == NULL)
			return no_memory(ei);
		if (signer->n_keys == SIGNER_SECRETS_MAX)
			return ERR(ei, ERR_TOO_LARGE, "a signer has too many keys");
		enum err rc =
			sign_key_parse_public(keys->v[i].value, &signer->keys[signer->n_keys], ei);
		if (rc != OK)
			return rc;
		signer->n_keys++;
		if (t->n_keys_max < signer->n_keys)
			t->n_keys_max = signer->n_keys;
	}
	return keys->n > 0 ? sign_key_new(&t->decoy, ei) : OK;
}

enum err
signer_table_fill(struct signer_table *t, const struct config_map *secrets,
	const struct config_map *keys, struct arena *a, struct errinfo *ei)
{
	enum err rc;

	t->by_id = map_new(secrets->n + keys->n + 1);
	if (t->by_id == NULL)
		return no_memory(ei);
	rc = add_secrets(t, secrets, a, ei);
	return rc == OK ? add_keys(t, keys, a, ei) : rc;
}

static void
clear_signer(void *value)
{
	struct signer *signer = value;

	for (size_t i = 0; i < signer->n_secrets; i++)
		secret_free(&signer->secrets[i]);
	for (size_t i = 0; i < signer->n_keys; i++)
		sign_key_free(&signer->keys[i]);
}

void
signer_table_clear(struct signer_table *t)
{
	map_free(&t->by_id, clear_signer);
	sign_key_free(&t->decoy);
}
