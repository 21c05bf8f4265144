/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of services and agents (nomos-http.md 2.4, decisions 39). Version 1: lower-case hex of HMAC-SHA256 over the exact bytes
 * of the body. Version 2: `v2=` and the same over the signed form, or `v2ed=` and the lower-case hex of an Ed25519 signature
 * over it. An unknown signer costs the work of a known one. Any loop.
 */
#ifndef PIPELINE_IDENTITY_SIGNATURE_H
#define PIPELINE_IDENTITY_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"
#include "pipeline/req.h"
#include "pipeline/signed_form.h"

struct secret;
struct sign_key;
struct signer_table;

/* Zero is none that counts: malformed, or of a version that is off. */
enum signature_kind { SIGNATURE_NONE = 0, SIGNATURE_V1, SIGNATURE_V2, SIGNATURE_V2_ED25519 };

enum signature_version { SIGNATURE_ALLOW_V1 = 1 << 0, SIGNATURE_ALLOW_V2 = 1 << 1 };

struct signature {
	enum signature_kind kind;
	struct span hex;
};

/* From a header's value; blanks around it do not count. versions: bits of enum signature_version. */
struct signature signature_read(struct span value, unsigned versions);

/* One request, as its signatures are looked at: what both of them need is made once. */
struct signed_request {
	const struct req_credentials *credentials;
	struct span body;
	bool has_form;
	struct signed_form form;
};

/* Current and previous ones. */
#define SIGNER_SECRETS_MAX 4
struct signer {
	struct span id;
	struct secret *secrets[SIGNER_SECRETS_MAX];
	size_t n_secrets;
	struct sign_key *keys[SIGNER_SECRETS_MAX]; /* Ed25519, public */
	size_t n_keys;
};

/* Whether timestamp and nonce beside a signature of version 2 have their form; *seconds is the timestamp. */
MUSTCHECK bool signature_read_moment(const struct req_credentials *credentials, int64_t *seconds);

/*
 * Whether the signature is one that this signer of the table made of the request. Every secret is tried, and as many as
 * any signer has. *found gets the row when true, and only then.
 */
MUSTCHECK bool signature_is_valid(const struct signer_table *t, struct span id,
	struct signature signature, struct signed_request *request, const struct signer **found);

#endif
