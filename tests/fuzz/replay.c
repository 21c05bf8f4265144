/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* main() for fuzz targets without libFuzzer: runs each file of the folders and files named, fails when there is none. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_run;

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
	/* A block of its own size, so that ASan sees a read behind the end. */
	uint8_t *exact = malloc(n > 0 ? n : 1);
	if (exact == NULL)
		return 1;
	for (size_t i = 0; i < n; i++)
		exact[i] = bytes[i];
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	n_run++;
	return 0;
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
	printf("%u inputs replayed\n", n_run);
	return rc != 0 || n_run == 0;
}
