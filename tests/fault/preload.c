/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands between the program and the C library (LD_PRELOAD, built and steered by world.py): another wall clock, opens
 * and syncs that do not come back for as long as the test says, and reads of sockets that take long. The program itself knows nothing of it.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SEC INT64_C(1000000000)
#define LOOK_AGAIN_NS 1000000

/* As world.py lays it out. */
struct control {
	_Atomic int64_t wall_offset_s;
	_Atomic int64_t open_hangs; /* opens of control->name */
	_Atomic int64_t sync_hangs;
	_Atomic int64_t n_hanging;
	_Atomic int64_t read_takes_us; /* readv, with which libevent reads sockets */
	char name[256];                /* how the path ends that hangs */
};

static struct control nothing;
static struct control *control = &nothing;

__attribute__((constructor)) static void
find_control(void)
{
	const char *path = getenv("NOMOS_TEST_CONTROL");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *p = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		control = p;
	close(fd);
}

static void
hang_while(const _Atomic int64_t *is_on)
{
	const struct timespec pause = {.tv_nsec = LOOK_AGAIN_NS};

	if (atomic_load(is_on) == 0)
		return;
	atomic_fetch_add(&control->n_hanging, 1);
	while (atomic_load(is_on) != 0)
		nanosleep(&pause, NULL);
	atomic_fetch_sub(&control->n_hanging, 1);
}

static int
ends_like_name(const char *path)
{
	size_t n = strlen(path);
	size_t n_name = strnlen(control->name, sizeof(control->name));

	return n_name > 0 && n >= n_name && memcmp(path + n - n_name, control->name, n_name) == 0;
}

int
open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...) =
		(int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	mode_t mode = 0;
	va_list ap;

	if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (ends_like_name(path))
		hang_while(&control->open_hangs);
	return next(path, flags, mode);
}

int
fsync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	hang_while(&control->sync_hangs);
	return next(fd);
}

int
fdatasync(int fd)
{
	int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	hang_while(&control->sync_hangs);
	return next(fd);
}

ssize_t
readv(int fd, const struct iovec *pieces, int n)
{
	ssize_t (*next)(int, const struct iovec *, int) =
		(ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "readv");
	int64_t us = atomic_load(&control->read_takes_us);
	const struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	if (us > 0)
		nanosleep(&pause, NULL);
	return next(fd, pieces, n);
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int (*next)(clockid_t, struct timespec *) =
		(int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int rc = next(id, ts);

	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += atomic_load(&control->wall_offset_s);
	return rc;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;

	(void)tz;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	*tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
