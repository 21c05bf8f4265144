/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what a receiver kept, and as the file of a file sink: never a crash, no record that is none, and a file sink never
 * takes a file for its own whose last whole line is no record.
 */
#define _GNU_SOURCE /* memfd_create */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "audit/witness.h"
#include "base/hash.h"
#include "base/must.h"
#include "sink_file_tail.h"
#include "witness_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
check_record(const struct witness_record *r, void *arg)
{
	size_t *n = arg;

	MUST(r->hash.n == SHA256_HEX && r->f.chain_id.n == CHAIN_ID_HEX && r->f.seq > 0);
	MUST(r->body.n > 0 && r->body.p[0] == '{');
	++*n;
	return *n < 1000;
}

static void
check_witness(const char *path)
{
	const struct witness_chain *chains = NULL;
	struct witness_verdict v;
	struct witness *w = NULL;
	bool is_cut = false;
	size_t n = 0;

	enum err rc = witness_read(path, check_record, &n, &is_cut, NULL);
	MUST(rc == OK || rc == ERR_IO);
	rc = witness_open(path, &w, NULL);
	MUST(rc != OK || n > 0);
	if (rc != OK)
		return;
	size_t n_chains = witness_get_chains(w, &chains);
	for (size_t i = 0; i < n_chains && i < 3; i++) {
		MUST(witness_judge(w, &chains[i], NULL, &v, NULL) == OK);
		MUST(!v.is_good || (v.n_records == v.last - v.first + 1 - v.n_dead));
	}
	witness_free(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];
	struct sink_tail tail;

	if (fd < 0) {
		MUST(hash_init(NULL) == OK);
		fd = memfd_create("trail", MFD_CLOEXEC);
		MUST(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	MUST(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	check_witness(path);
	if (sink_tail_read(fd, size, "00112233445566778899aabbccddeeff", &tail, NULL) == OK)
		MUST(tail.whole <= size && (tail.whole == 0 || data[tail.whole - 1] == '\n'));
	return 0;
}
