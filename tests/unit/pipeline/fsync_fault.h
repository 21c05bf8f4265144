/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk on which fsync of folders fails while a test says so. Defining the call here keeps the C library's out of the
 * program. Any thread.
 */
#ifndef TESTS_PIPELINE_FSYNC_FAULT_H
#define TESTS_PIPELINE_FSYNC_FAULT_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool folders_fail;

int
fsync(int fd)
{
	struct stat st;

	if (atomic_load(&folders_fail) && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

#endif
