/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Certificates that end, CAs that have ended and keys that everybody reads, over files made by the test. */
#include "doctor_place.h"

#include "unit/net/rig_tls.h"

#define DAY_S 86400L

/* A certificate that signs itself, as NAME.pem and NAME.key. */
static void
put_cert(const struct place *p, const char *name, long begins_s, long ends_s)
{
	char file[64];
	char path[256];
	EVP_PKEY *key = NULL;
	const struct rig_cert wanted = {
		.common_name = name, .is_ca = true, .begins_s = begins_s, .ends_s = ends_s};
	X509 *x = rig_make_cert(&wanted, &key);

	snprintf(file, sizeof(file), "%s.pem", name);
	rig_write_pem(path_in(p, file, path), x, NULL);
	snprintf(file, sizeof(file), "%s.key", name);
	rig_write_pem(path_in(p, file, path), NULL, key);
	CHECK_INT(chmod(path, 0600), 0);
	X509_free(x);
	EVP_PKEY_free(key);
}

struct tls_row {
	const char *what;
	long own_ends_s;
	long ca_begins_s;
	long ca_ends_s;
	const char *failing;
	const char *advising;
};

static const struct tls_row tls_rows[] = {
	{"good", 90 * DAY_S, -60, 90 * DAY_S, "", ""},
	{"ends soon", 2 * DAY_S, -60, 90 * DAY_S, "", "gateway.certificates"},
	{"has ended", -60, -60, 90 * DAY_S, "gateway.certificates", ""},
	{"CA ends soon", 90 * DAY_S, -60, 2 * DAY_S, "", "tls.ca_files"},
	{"CA has ended", 90 * DAY_S, -90 * DAY_S, -60, "tls.ca_files", ""},
};

static void
put_tls(const struct place *p)
{
	static const struct row row = {"", "listen: 127.0.0.1:0\n",
		"listen: 127.0.0.1:0\n  tls: {enabled: true, cert_file: own.pem, key_file: "
		"own.key, "
		"client_ca_file: ca.pem}\n",
		"", ""};
	char text[4096];

	replace(text, sizeof(text), &row);
	put(p, "nomos.yaml", text, 0600);
}

TEST(certificates_that_end)
{
	for (size_t i = 0; i < ARRAY_LEN(tls_rows); i++) {
		const struct tls_row *r = &tls_rows[i];
		struct place p;

		set_up(&p);
		put_tls(&p);
		put_cert(&p, "own", -90 * DAY_S, r->own_ends_s);
		put_cert(&p, "ca", r->ca_begins_s, r->ca_ends_s);
		examine(&p);
		expect(&p, r->what, r->failing, r->advising);
		tear_down(&p);
	}
}

/* The certificate that is shown stands before its chain, which lasts longer. */
TEST(a_certificate_shown_to_receivers_counts_before_its_chain)
{
	static const struct row row = {"", "sink: \"\"",
		"sink: \"\"\n  webhook: {cert_file: chain.pem, key_file: own.key}", "", ""};
	static const char *const parts[] = {"own.pem", "ca.pem"};
	static const struct {
		long ends_s;
		const char *failing;
		const char *advising;
	} ends[] = {
		{90 * DAY_S, "", ""}, {2 * DAY_S, "", "tls.ca_files"}, {-60, "tls.ca_files", ""}};
	char text[4096];
	char path[256];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct place p;
		struct buf chain;

		set_up(&p);
		replace(text, sizeof(text), &row);
		put(&p, "nomos.yaml", text, 0600);
		put_cert(&p, "own", -90 * DAY_S, ends[i].ends_s);
		put_cert(&p, "ca", -90 * DAY_S, 90 * DAY_S);
		buf_init(&chain, BUF_CAP_RECORD);
		for (size_t k = 0; k < ARRAY_LEN(parts); k++)
			CHECK_INT(fdio_read_file(path_in(&p, parts[k], path), BUF_CAP_RECORD / 4,
					  &chain, NULL),
				OK);
		put(&p, "chain.pem", chain.p, 0644);
		buf_fini(&chain);
		examine(&p);
		expect(&p, "chain", ends[i].failing, ends[i].advising);
		tear_down(&p);
	}
}

TEST(a_key_that_everybody_reads)
{
	struct place p;
	char path[256];

	set_up(&p);
	put_tls(&p);
	put_cert(&p, "own", -60, 90 * DAY_S);
	put_cert(&p, "ca", -60, 90 * DAY_S);
	CHECK_INT(chmod(path_in(&p, "own.key", path), 0644), 0);
	examine(&p);
	expect(&p, "exposed", "", "gateway.certificates");
	const struct doctor_check *c = find(&p, "gateway.certificates");
	CHECK(c != NULL && strstr(c->message, "own.key") != NULL);
	/* Whoever can write the CA lets anybody in. */
	CHECK_INT(chmod(path, 0600), 0);
	CHECK_INT(chmod(path_in(&p, "ca.pem", path), 0666), 0);
	examine(&p);
	expect(&p, "CA to be written", "files.modes", "");
	tear_down(&p);
}

/* In a file of its own, or in the certificate's. */
TEST(a_key_for_receivers_that_everybody_reads)
{
	static const struct row rows[] = {
		{"records", "sink: \"\"",
			"sink: \"\"\n  webhook: {cert_file: own.pem, key_file: own.key}", "",
			"tls.ca_files"},
		{"one file", "sink: \"\"", "sink: \"\"\n  webhook: {cert_file: own.key}",
			"tls.ca_files", ""},
		{"one file of both", "sink: \"\"", "sink: \"\"\n  webhook: {cert_file: own.pem}",
			"", "tls.ca_files"},
		{"collector", "identity:",
			"telemetry: {enabled: true, sink: 'otlp:https://192.0.2.1:4318', "
			"cert_file: "
			"own.pem, key_file: own.key}\nidentity:",
			"", "tls.ca_files"},
	};
	char text[4096];
	char path[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct place p;

		set_up(&p);
		replace(text, sizeof(text), &rows[i]);
		put(&p, "nomos.yaml", text, 0600);
		put_cert(&p, "own", -60, 90 * DAY_S);
		CHECK_INT(chmod(path_in(&p, "own.pem", path), 0644), 0);
		CHECK_INT(chmod(path_in(&p, "own.key", path), 0644), 0);
		examine(&p);
		expect(&p, rows[i].what, rows[i].failing, rows[i].advising);
		CHECK_INT(chmod(path, 0600), 0);
		CHECK_INT(chmod(path_in(&p, "own.pem", path), 0600), 0);
		examine(&p);
		expect(&p, rows[i].what, rows[i].failing, "");
		tear_down(&p);
	}
}

/* The collector's certificate ends as the others do. */
TEST(a_certificate_shown_to_the_collector)
{
	static const struct row row = {"", "identity:",
		"telemetry: {enabled: true, sink: 'otlp:https://192.0.2.1:4318', cert_file: "
		"own.pem, "
		"key_file: own.key}\nidentity:",
		"", ""};
	char text[4096];
	struct place p;

	set_up(&p);
	replace(text, sizeof(text), &row);
	put(&p, "nomos.yaml", text, 0600);
	put_cert(&p, "own", -60, 2 * DAY_S);
	examine(&p);
	expect(&p, "ends soon", "", "tls.ca_files");
	tear_down(&p);
}

SUITE("doctor_tls", TEST_ROW(certificates_that_end),
	TEST_ROW(a_certificate_shown_to_receivers_counts_before_its_chain),
	TEST_ROW(a_key_that_everybody_reads), TEST_ROW(a_key_for_receivers_that_everybody_reads),
	TEST_ROW(a_certificate_shown_to_the_collector))
