/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * main() for fuzz targets without libFuzzer: runs each file of the folders and files named, and then some changed copies of it, the same ones
 * each time; fails when there is no file. What fails says on stderr which input it was; libFuzzer finds more, this runs in every build.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Copies of a seed that are run, and the largest seed that has any. */
#define N_COPIES 200
#define COPIED_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_run;

/* As a block of its own size, so that ASan sees a read behind the end. */
static int
run_exactly(const uint8_t *bytes, size_t n)
{
	uint8_t *exact = malloc(n > 0 ? n : 1);
	if (exact == NULL)
		return 1;
	memcpy(exact, bytes, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	n_run++;
	return 0;
}

static uint32_t
pick(uint32_t *state, size_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % (uint32_t)n;
}

/* One change: a bit, a byte, a cut, a piece that is moved over another, or one that is there twice. Returns the new size. */
static size_t
change(uint8_t *bytes, size_t n, size_t max, uint32_t *state)
{
	static const uint8_t bytes_of_note[] = "\0\r\n\t \"\\/:;,{}[]*%\x7f\x80\xc0\xed\xff";
	if (n == 0) {
		bytes[0] = (uint8_t)pick(state, 256);
		return 1;
	}
	size_t at = pick(state, n);
	size_t from = pick(state, n);
	size_t piece = 1 + pick(state, n - (at > from ? at : from));
	switch (pick(state, 5)) {
	case 0:
		bytes[at] ^= (uint8_t)(1u << pick(state, 8));
		return n;
	case 1:
		bytes[at] = bytes_of_note[pick(state, sizeof(bytes_of_note) - 1)];
		return n;
	case 2:
		memmove(bytes + at, bytes + at + piece, n - at - piece);
		return n - piece;
	case 3:
		memmove(bytes + at, bytes + from, piece);
		return n;
	default:
		if (n + piece > max)
			return n;
		memmove(bytes + at + piece, bytes + at, n - at);
		return n + piece;
	}
}

static int
run_copies(const char *path, const uint8_t *bytes, size_t n)
{
	static uint8_t copy[2 * COPIED_MAX];
	uint32_t state = 2463534242u + (uint32_t)n;
	int rc = 0;
	if (n > COPIED_MAX)
		return 0;
	fprintf(stderr, "%s, changed\n", path);
	for (int i = 0; i < N_COPIES; i++) {
		size_t size = n;
		memcpy(copy, bytes, n);
		for (uint32_t left = 1 + pick(&state, 4); left > 0; left--)
			size = change(copy, size, sizeof(copy), &state);
		rc |= run_exactly(copy, size);
	}
	return rc;
}

static int
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL) {
		perror(path);
		return 1;
	}
	static uint8_t bytes[1 << 20];
	size_t n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	fprintf(stderr, "%s\n", path);
	return run_exactly(bytes, n) | run_copies(path, bytes, n);
}

static int
replay(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0) {
		perror(path);
		return 1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	DIR *d = opendir(path);
	if (d == NULL) {
		perror(path);
		return 1;
	}
	int rc = 0;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char file[4096];
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		rc |= replay_file(file);
	}
	closedir(d);
	return rc;
}

int
main(int argc, char **argv)
{
	int rc = 0;
	for (int i = 1; i < argc; i++)
		rc |= replay(argv[i]);
	printf("%u inputs\n", n_run);
	return rc != 0 || n_run == 0;
}
