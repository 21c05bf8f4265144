/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a command reaches the gateway, by TCP or by a unix socket, and what it shows there in a TLS handshake. One thread.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "base/attr.h"
#include "base/err.h"
#include "net/listener.h"

struct gateway_section;
struct http_call;
struct http_client_options;

#define TARGET_URL_MAX 1024

/* What the command line says of it; each may be NULL. */
struct target_flags {
	const char *url;
	const char *ca_file;
	const char *cert_file;
	const char *cert_key_file;
};

/* The rows for the flags of a command. */
#define TARGET_FLAGS(f)                                                                            \
	{"url", "u", FLAG_TEXT, &(f).url, "URL", "NOMOS_URL",                                      \
		"gateway, or unix:/PATH; default: that of the configuration"},                     \
		{"ca-file", NULL, FLAG_TEXT, &(f).ca_file, "FILE", "NOMOS_CA_FILE",                \
			"CA of the gateway's certificate (PEM); default: the system's"},           \
		{"cert", NULL, FLAG_TEXT, &(f).cert_file, "FILE", "NOMOS_CERT_FILE",               \
			"client certificate with its chain (PEM)"},                                \
	{                                                                                          \
		"cert-key", NULL, FLAG_TEXT, &(f).cert_key_file, "FILE", "NOMOS_CERT_KEY_FILE",    \
			"its private key (PEM); default: in the file of --cert"                    \
	}

struct target {
	char url[TARGET_URL_MAX];
	char unix_path[LISTENER_PATH_MAX]; /* empty: by TCP */
	char text[TARGET_URL_MAX + 8];     /* for messages */
};

/* Of the flags, or of the configuration's listener (gateway may be NULL); path begins with a slash. ERR_INVALID, ERR_TOO_LARGE. */
MUSTCHECK enum err target_find(const struct target_flags *f, const struct gateway_section *gateway,
	const char *path, struct target *out, struct errinfo *ei);
/* Both borrow. */
void target_fill_call(const struct target *t, struct http_call *call);
void target_fill_options(const struct target_flags *f, struct http_client_options *o);

#endif
