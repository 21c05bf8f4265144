/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients must never take the descriptor that an action, the ledger or a reload is about to open: connections stay below
 * the limit of open files by a reserve. What the process has open anyway is counted in. Start-up, main thread.
 */
#include "descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/log.h"

/* Opened later, at the most: ledger and index 16, eight sinks with a reader and a socket each 40, four receivers of
 * notices 20, executors 32, a reload 16,
 * and as much again for what libraries open for a moment. */
#define RESERVE 160
/* Loop, wake-up, listening socket, and a socket that is accepted while another closes. */
#define RESERVE_PER_WORKER 8
/* With fewer the gateway would be of no use. */
#define CONNECTIONS_MIN 8

/* Descriptors open now; a guess that is high enough where /proc is not there. */
static size_t
count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	if (dir == NULL)
		return RESERVE;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* The limit in force behind this, at most SIZE_MAX. */
static enum err
raise_limit(size_t wanted, size_t *out, struct errinfo *ei)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "limit of open files");
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted) {
		struct rlimit more = limit;
		more.rlim_cur = limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted
					? limit.rlim_max
					: wanted;
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	*out = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > SIZE_MAX ? SIZE_MAX
									    : limit.rlim_cur;
	return OK;
}

enum err
descriptors_share(size_t wanted, size_t n_workers, size_t *out, struct errinfo *ei)
{
	size_t reserve = RESERVE + n_workers * RESERVE_PER_WORKER + count_open();
	size_t limit = 0;
	enum err rc = raise_limit(wanted > 0 ? wanted + reserve : 0, &limit, ei);

	*out = 0;
	if (rc != OK)
		return rc;
	size_t least = reserve + CONNECTIONS_MIN * n_workers;
	if (limit < least)
		return ERR(ei, ERR_INVALID,
			"the limit of %zu open files is too low for %zu workers: %zu are needed "
			"(ulimit -n, LimitNOFILE)",
			limit, n_workers, least);
	size_t room = limit - reserve;
	size_t n = wanted > 0 && wanted < room ? wanted : room;
	if (n < wanted)
		log_warn(NULL,
			"gateway.max_connections is %zu, but the limit of open files leaves room "
			"for "
			"%zu",
			wanted, n);
	/* A share for each loop: none of them has to ask the others. */
	*out = n / n_workers > 0 ? n / n_workers : 1;
	return OK;
}
