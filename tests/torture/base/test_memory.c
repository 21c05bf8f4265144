/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory runs out at each allocation in turn, inside OpenSSL and libevent too: every failure has
 * its error, leaves its out-parameter empty, gives all memory back and never turns a bad signature
 * into a good one.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/sign.h"
#include "base/workq.h"
#include "support/test.h"

/* One run of what is tried; false when it reported a failure. */
typedef bool (*attempt_fn)(void);

#define TRIES_MAX 20000

struct result {
	bool is_ok;
	bool was_hit; /* the run came as far as the allocation that failed */
	long n_kept;  /* blocks that the run did not give back */
};

static struct result
try_with_failure(attempt_fn attempt, unsigned long n)
{
	struct result r;
	long live_before = mem_live();
	unsigned long count_before = mem_count();

	mem_fail_at(n);
	r.is_ok = attempt();
	r.was_hit = mem_count() - count_before >= n;
	mem_fail_at(0);
	r.n_kept = mem_live() - live_before;
	return r;
}

/* Fails the first allocation, then the second, and so on, until a run needs fewer. */
static void
torture(const char *name, attempt_fn attempt)
{
	struct result r = {.was_hit = true};
	unsigned long n = 0;

	/* Twice, for what the libraries make once and keep. */
	CHECK(attempt());
	CHECK(attempt());
	while (r.was_hit && n < TRIES_MAX) {
		n++;
		r = try_with_failure(attempt, n);
		/* OpenSSL keeps texts of its error queue, a bounded number: only a block more
		 * each time is a leak. */
		if (r.n_kept > 0 && try_with_failure(attempt, n).n_kept > 0)
			FAIL("%s: keeps memory after failure %lu", name, n);
		if (!r.was_hit && !r.is_ok)
			FAIL("%s: failed without a failed allocation", name);
	}
	CHECK(n > 1 && n < TRIES_MAX);
}

static bool
use_arena(void)
{
	struct arena *a = arena_new(1024 * 1024);

	if (a == NULL)
		return false;
	bool is_ok = true;
	for (size_t i = 0; i < 100; i++)
		is_ok = arena_alloc(a, 700) != NULL && is_ok;
	is_ok = arena_printf(a, "%d", 5).p != NULL && is_ok;
	CHECK(is_ok == !arena_failed(a));
	arena_reset(a);
	CHECK(!arena_failed(a));
	arena_free(&a);
	return is_ok;
}

TEST(arena)
{
	torture("arena", use_arena);
}

static bool
use_buf(void)
{
	struct buf b;

	buf_init(&b, 100000);
	for (int i = 0; i < 500; i++)
		buf_printf(&b, "%09d", i);
	bool is_ok = !buf_failed(&b);
	CHECK(b.n % 9 == 0);
	CHECK(is_ok == (b.n == 4500));
	buf_fini(&b);
	return is_ok;
}

TEST(buf)
{
	torture("buf", use_buf);
}

static bool
use_buf_in_arena(void)
{
	struct arena *a = arena_new(1024 * 1024);
	struct buf b;

	if (a == NULL)
		return false;
	buf_init_arena(&b, a, 100000);
	for (int i = 0; i < 500; i++)
		buf_printf(&b, "%09d", i);
	bool is_ok = !buf_failed(&b);
	CHECK(is_ok == !arena_failed(a));
	buf_fini(&b);
	arena_free(&a);
	return is_ok;
}

TEST(buf_in_arena)
{
	torture("buf in an arena", use_buf_in_arena);
}

static bool
use_map(void)
{
	struct map *m = map_new(1000);
	size_t n_put = 0;
	bool is_ok = true;

	if (m == NULL)
		return false;
	for (int i = 0; i < 100; i++) {
		char key[8];
		int n = snprintf(key, sizeof(key), "%d", i);
		bool was_put = map_put(m, span_of(key, (size_t)n), m, NULL);
		CHECK((map_find(m, span_of(key, (size_t)n)) == m) == was_put);
		n_put += was_put ? 1 : 0;
		is_ok = is_ok && was_put;
	}
	CHECK_INT(map_count(m), n_put);
	CHECK(n_put >= 99);
	map_free(&m, NULL);
	return is_ok;
}

TEST(map)
{
	torture("map", use_map);
}

static bool
use_secret(void)
{
	struct secret *s = secret_new(SPAN_LIT("x"));
	char *copy = mem_dup_cstr("x");
	bool is_ok = s != NULL && copy != NULL;

	secret_free(&s);
	mem_free(copy);
	return is_ok;
}

TEST(secret)
{
	torture("secret", use_secret);
}

static bool
use_keys(void)
{
	struct sign_key *k = NULL;
	struct sign_key *copy = NULL;
	struct buf pem;
	uint8_t signature[SIGN_ED25519_BYTES];
	struct span signed_bytes = span_of((const char *)signature, sizeof(signature));

	buf_init(&pem, 1000);
	bool is_ok = sign_key_new(&k, NULL) == OK && sign_key_build_private(k, &pem, NULL) == OK &&
		     sign_key_parse_private(buf_span(&pem), &copy, NULL) == OK;
	CHECK(is_ok || copy == NULL);
	is_ok = is_ok && sign_ed25519(copy, SPAN_LIT("x"), signature, NULL) == OK &&
		sign_ed25519_verify(k, SPAN_LIT("x"), signed_bytes);
	if (is_ok)
		CHECK(!sign_ed25519_verify(k, SPAN_LIT("y"), signed_bytes));
	buf_fini(&pem);
	sign_key_free(&copy);
	sign_key_free(&k);
	return is_ok;
}

TEST(ed25519)
{
	torture("Ed25519", use_keys);
}

static struct buf rsa_key;
static struct buf rsa_signature;

static void
load(struct buf *b, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/corpus/sign/%s", test_source_dir(), name);
	buf_init(b, 65536);
	CHECK_INT(fdio_read_file(path, 65536, b, NULL), OK);
}

static bool
verify_good_signature(void)
{
	return sign_rsa_verify(buf_span(&rsa_key), SPAN_LIT("policy: v1\n"),
		       buf_span(&rsa_signature), NULL) == OK;
}

/* True when it was refused for the right reason. */
static bool
refuse_bad_signature(void)
{
	enum err rc = sign_rsa_verify(
		buf_span(&rsa_key), SPAN_LIT("policy: v2\n"), buf_span(&rsa_signature), NULL);

	CHECK(rc != OK);
	return rc == ERR_FORBIDDEN;
}

TEST(rsa)
{
	struct buf text;

	load(&rsa_key, "rsa.pub.pem");
	load(&text, "message.sig");
	buf_init(&rsa_signature, 1000);
	CHECK_INT(sign_base64_decode(buf_span(&text), &rsa_signature, NULL), OK);
	torture("a good RSA signature", verify_good_signature);
	torture("a bad RSA signature", refuse_bad_signature);
	buf_fini(&text);
	buf_fini(&rsa_key);
	buf_fini(&rsa_signature);
}

static void
do_nothing(void *arg)
{
	(void)arg;
}

static void
ignore_signal(int signo, void *arg)
{
	(void)signo;
	(void)arg;
}

static bool
use_loop(void)
{
	struct loop *l = NULL;

	if (loop_new(&l, NULL) != OK) {
		CHECK(l == NULL);
		return false;
	}
	struct loop_timer *t = loop_timer_new(l, do_nothing, NULL);
	bool is_ok = t != NULL && loop_on_signal(l, SIGUSR1, ignore_signal, NULL, NULL) == OK;
	loop_timer_free(&t);
	loop_free(&l);
	return is_ok;
}

TEST(loop)
{
	torture("loop", use_loop);
}

static bool
use_workq(void)
{
	struct workq *q = NULL;
	bool is_ok = workq_new(2, 10, &q, NULL) == OK;

	CHECK(is_ok == (q != NULL));
	workq_free(&q);
	return is_ok;
}

TEST(workq)
{
	torture("workq", use_workq);
}

static char file_path[300];

static bool
use_files(void)
{
	struct buf b;

	buf_init(&b, 1000);
	bool is_ok = fdio_write_file(file_path, SPAN_LIT("content"), 0600, NULL) == OK &&
		     fdio_read_file(file_path, 1000, &b, NULL) == OK;
	CHECK(b.n == (is_ok ? 7u : 0u));
	buf_fini(&b);
	return is_ok;
}

TEST(fdio)
{
	snprintf(file_path, sizeof(file_path), "%s/f", test_tmpdir());
	torture("files", use_files);
}

static bool
write_log_line(void)
{
	struct log_subject about = {.request_id = SPAN_LIT("req_1"), .step = "STEP"};

	/* Whole, or counted as dropped; its caller never knows. */
	log_warn(&about, "a line of %s", "text");
	return true;
}

TEST(log_line)
{
	int real_stderr = dup(STDERR_FILENO);
	int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
	uint64_t before = log_dropped();

	CHECK(dup2(nothing, STDERR_FILENO) == STDERR_FILENO);
	torture("log line", write_log_line);
	CHECK(dup2(real_stderr, STDERR_FILENO) == STDERR_FILENO);
	close(nothing);
	close(real_stderr);
	CHECK(log_dropped() > before);
}

/* First of all: the libraries must not have allocated yet. */
TEST(libraries_take_our_memory)
{
	CHECK(hash_hook_memory());
	loop_hook_memory();
	unsigned long before = mem_count();
	uint8_t digest[SHA256_BYTES];
	struct sign_key *k = NULL;
	CHECK_INT(hash_init(NULL), OK);
	hash_sha256(SPAN_NONE, digest);
	CHECK_INT(mem_count(), before); /* a digest needs none, so it cannot fail */
	CHECK_INT(sign_key_new(&k, NULL), OK);
	CHECK(mem_count() - before > 10);
	sign_key_free(&k);
}

SUITE("memory", TEST_ROW(libraries_take_our_memory), TEST_ROW(arena), TEST_ROW(buf),
	TEST_ROW(buf_in_arena), TEST_ROW(map), TEST_ROW(secret), TEST_ROW(ed25519), TEST_ROW(rsa),
	TEST_ROW(loop), TEST_ROW(workq), TEST_ROW(fdio), TEST_ROW(log_line))
