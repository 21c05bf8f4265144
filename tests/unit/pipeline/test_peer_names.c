/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* SPIFFE IDs by the rows of corpus/identity/spiffe.cases, and principals by what connections say of themselves. */
#include "base/clock.h"
#include "identity/peer_names.h"

#include "base/must.h"
#include "identity/spiffe.h"
#include "net/peer.h"
#include "support/cases.h"
#include "support/test.h"

static void
check_id(const struct cases_row *row, void *arg)
{
	struct spiffe_id id;
	bool is_wanted = !span_eq_cstr(row->field[1], "-");
	bool is_valid = spiffe_id_parse(row->field[0], &id);

	(void)arg;
	if (is_valid != is_wanted || (is_wanted && (!span_eq(id.trust_domain, row->field[1]) ||
							   !span_eq(id.path, row->field[2]))))
		FAIL("%s:%d: %.*s", row->file, row->line, SPAN_ARG(row->field[0]));
	if (!is_wanted && (id.trust_domain.n > 0 || id.path.n > 0))
		FAIL("%s:%d: something is left", row->file, row->line);
}

TEST(ids_by_the_specification)
{
	CHECK(cases_each("identity/spiffe.cases", check_id, NULL) > 40);
}

TEST(ids_are_bounded)
{
	char text[SPIFFE_ID_BYTES_MAX + 1];
	struct spiffe_id id;

	memset(text, 'a', sizeof(text));
	memcpy(text, "spiffe://x/", 11);
	CHECK(spiffe_id_parse(span_of(text, SPIFFE_ID_BYTES_MAX), &id));
	CHECK(!spiffe_id_parse(span_of(text, SPIFFE_ID_BYTES_MAX + 1), &id));
	/* A trust domain of 255 bytes, and one more. */
	text[9 + 1] = 'a';
	text[9 + 255] = '/';
	CHECK(spiffe_id_parse(span_of(text, 300), &id));
	text[9 + 255] = 'a';
	text[9 + 256] = '/';
	CHECK(!spiffe_id_parse(span_of(text, 300), &id));
}

static struct config_pair paths[] = {{{"/ns/ci/sa/runner", 16}, {"ci-runner", 9}}};
static struct config_pair dns[] = {{{"a.example", 9}, {"alice", 5}}, {{"b.example", 9}, {"bob", 3}},
	{{"c.example", 9}, {"alice", 5}}};
static struct config_pair names[] = {{{"Build Server", 12}, {"builder", 7}}};
static struct config_pair users[] = {{{"1000", 4}, {"carol", 5}}, {{"0", 1}, {"root", 4}}};

static struct peer_names *
make(bool has_spiffe, bool only_listed)
{
	const struct spiffe_section spiffe = {
		.enabled = has_spiffe,
		.trust_domain = SPAN_LIT("example.org"),
		.principals = {paths, ARRAY_LEN(paths)},
		.only_listed = only_listed,
	};
	const struct mtls_section mtls = {
		.dns_names = {dns, ARRAY_LEN(dns)}, .common_names = {names, ARRAY_LEN(names)}};
	const struct unix_section section = {.users = {users, ARRAY_LEN(users)}};
	struct peer_names *n = NULL;

	MUST(peer_names_new(&spiffe, &mtls, &section, &n, NULL) == OK);
	return n;
}

static void
check_spiffe(bool only_listed, const char *id, const char *want)
{
	struct peer_names *n = make(true, only_listed);
	const struct net_peer peer = {.is_tls = true,
		.has_certificate = true,
		.certificate_end_wall_ns = INT64_MAX,
		.spiffe_id = span_cstr(id)};
	struct span principal;

	CHECK_INT(peer_names_by_spiffe(n, &peer, &principal), want[0] != '\0');
	CHECK_SPAN(principal, want);
	peer_names_free(&n);
}

TEST(a_spiffe_id_is_a_principal)
{
	check_spiffe(false, "spiffe://example.org/ns/ci/sa/runner", "ci-runner");
	check_spiffe(false, "spiffe://example.org/other", "spiffe://example.org/other");
	check_spiffe(true, "spiffe://example.org/ns/ci/sa/runner", "ci-runner");
	check_spiffe(true, "spiffe://example.org/other", "");
	check_spiffe(false, "spiffe://example.org/ns/ci/sa/runner/", "");
	check_spiffe(false, "spiffe://example.com/ns/ci/sa/runner", "");
	check_spiffe(false, "spiffe://example.org.evil.example/a", "");
	check_spiffe(false, "spiffe://xexample.org/a", "");
	check_spiffe(false, "", "");
}

TEST(only_a_verified_certificate_counts)
{
	struct peer_names *on = make(true, false);
	struct peer_names *off = make(false, false);
	struct net_peer peer = {.is_tls = true,
		.spiffe_id = SPAN_LIT("spiffe://example.org/a"),
		.dns = {SPAN_LIT("a.example")},
		.n_dns = 1};
	struct span principal;

	CHECK(!peer_names_by_spiffe(on, &peer, &principal));
	CHECK(!peer_names_by_certificate(off, &peer, &principal));
	CHECK(!peer_names_by_spiffe(on, NULL, &principal));
	CHECK(!peer_names_by_certificate(on, NULL, &principal));
	CHECK(!peer_names_by_process(on, NULL, &principal));
	peer.has_certificate = true;
	/* It ended while the connection went on. */
	peer.certificate_end_wall_ns = clock_wall_ns();
	CHECK(!peer_names_by_spiffe(on, &peer, &principal));
	CHECK(!peer_names_by_certificate(off, &peer, &principal));
	peer.certificate_end_wall_ns = clock_wall_ns() + 3600 * NS_PER_SEC;
	CHECK(peer_names_by_spiffe(on, &peer, &principal));
	CHECK(!peer_names_by_spiffe(off, &peer, &principal));
	/* One with a SPIFFE ID is judged by that alone, as long as those count. */
	CHECK(!peer_names_by_certificate(on, &peer, &principal));
	CHECK(peer_names_by_certificate(off, &peer, &principal));
	peer_names_free(&on);
	peer_names_free(&off);
}

static void
check_names(const char *first, const char *second, const char *common_name, const char *want)
{
	struct peer_names *n = make(true, false);
	const struct net_peer peer = {
		.is_tls = true,
		.has_certificate = true,
		.certificate_end_wall_ns = INT64_MAX,
		.dns = {span_cstr(first), span_cstr(second)},
		.n_dns = second != NULL ? 2 : 1,
		.common_name = span_cstr(common_name),
	};
	struct span principal;

	CHECK_INT(peer_names_by_certificate(n, &peer, &principal), want[0] != '\0');
	if (want[0] != '\0')
		CHECK_SPAN(principal, want);
	peer_names_free(&n);
}

TEST(names_of_a_certificate)
{
	check_names("a.example", NULL, "", "alice");
	check_names("x.example", "b.example", "", "bob");
	check_names("a.example", "c.example", "", "alice");
	check_names("a.example", "b.example", "", ""); /* of two principals */
	check_names("x.example", NULL, "Build Server", "builder");
	check_names("x.example", NULL, "build server", "");
	check_names("a.example", NULL, "Build Server", "alice");
	check_names("a.example.evil.example", NULL, "a.example", "");
	check_names("x.example", NULL, "", "");
}

TEST(a_process_is_its_user)
{
	struct peer_names *n = make(false, false);
	struct net_peer peer = {.kind = PEER_UNIX, .has_process = true, .uid = 1000};
	struct span principal;

	CHECK(peer_names_by_process(n, &peer, &principal));
	CHECK_SPAN(principal, "carol");
	peer.uid = 1001;
	CHECK(!peer_names_by_process(n, &peer, &principal));
	/* Zero is what an unfilled field holds. */
	peer.uid = 0;
	CHECK(peer_names_by_process(n, &peer, &principal));
	peer.has_process = false;
	CHECK(!peer_names_by_process(n, &peer, &principal));
	peer.has_process = true;
	peer.kind = PEER_TCP;
	CHECK(!peer_names_by_process(n, &peer, &principal));
	peer_names_free(&n);
}

SUITE("peer_names", TEST_ROW(ids_by_the_specification), TEST_ROW(ids_are_bounded),
	TEST_ROW(a_spiffe_id_is_a_principal), TEST_ROW(only_a_verified_certificate_counts),
	TEST_ROW(names_of_a_certificate), TEST_ROW(a_process_is_its_user))
