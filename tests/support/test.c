/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The runner behind test.h. Only test programs link it. */
#define _XOPEN_SOURCE 700 /* nftw */

#include "support/test.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#define TMPDIRS_MAX 128

static char tmpdirs[TMPDIRS_MAX][64];
static size_t n_tmpdirs;

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
remove_tmpdirs(void)
{
	for (size_t i = 0; i < n_tmpdirs; i++)
		nftw(tmpdirs[i], remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *
make_dir(const char *parent)
{
	if (n_tmpdirs == TMPDIRS_MAX) {
		fprintf(stderr, "too many temporary directories\n");
		exit(2);
	}
	char *dir = tmpdirs[n_tmpdirs];
	snprintf(dir, sizeof(tmpdirs[0]), "%s/nomos-test-XXXXXX", parent);
	if (mkdtemp(dir) == NULL) {
		perror("mkdtemp");
		exit(2);
	}
	n_tmpdirs++;
	return dir;
}

const char *
test_tmpdir(void)
{
	return make_dir("/tmp");
}

const char *
test_ramdir(void)
{
	return make_dir(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

const char *
test_source_dir(void)
{
	return NOMOS_TESTS_DIR;
}

bool
test_check(bool ok, const char *what, const char *file, int line)
{
	return CU_assertImplementation(ok ? CU_TRUE : CU_FALSE, (unsigned)line, what, file, "",
		       CU_FALSE) == CU_TRUE;
}

void
test_fail(const char *file, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	test_check(false, text, file, line);
}

bool
test_check_int(int64_t got, int64_t want, const char *what, const char *file, int line)
{
	char text[512];

	snprintf(text, sizeof(text), "%s is %lld, not %lld", what, (long long)got, (long long)want);
	return test_check(got == want, text, file, line);
}

bool
test_check_span(struct span got, struct span want, const char *what, const char *file, int line)
{
	char text[2048];

	snprintf(text, sizeof(text), "%s is \"%.*s\", not \"%.*s\"", what, SPAN_ARG(got),
		SPAN_ARG(want));
	return test_check(span_eq(got, want), text, file, line);
}

bool
test_check_str(const char *got, const char *want, const char *what, const char *file, int line)
{
	if (got == NULL || want == NULL)
		return test_check(got == want, what, file, line);
	return test_check_span(span_cstr(got), span_cstr(want), what, file, line);
}

static bool
is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return true;
	}
	return argc < 2;
}

int
test_run(const char *suite, const struct test_case *cases, size_t n, int argc, char **argv)
{
	atexit(remove_tmpdirs);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	CU_pSuite s = CU_add_suite(suite, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		if (is_wanted(cases[i].name, argc, argv) &&
			CU_add_test(s, cases[i].name, cases[i].fn) == NULL)
			return 2;
	}
	if (CU_get_registry()->uiNumberOfTests == 0) {
		fprintf(stderr, "no test of that name\n");
		return 2;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_ErrorCode rc = CU_basic_run_tests();
	bool failed = rc != CUE_SUCCESS || CU_get_number_of_tests_failed() > 0;
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
