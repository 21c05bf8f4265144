/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process can do on this host, as the kernel's files under /proc and /sys tell it: who it runs as, what it may write,
 * which networks it has. Nothing is sent and nothing is changed. What cannot be read is MEASURED_NOT, never a yes. Blocking; one
 * thread.
 */
#ifndef RUNTIME_MEASURE_H
#define RUNTIME_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct buf;

/* Zero is not known. */
enum measured { MEASURED_NOT = 0, MEASURED_NO, MEASURED_YES };

#define MEASURE_NAME_MAX 32
#define MEASURE_PATH_MAX 256
#define MEASURE_CAP_NET_BIND (UINT64_C(1) << 10)

struct measured_host {
	/* /proc/self/status */
	bool has_status;       /* what follows was read */
	uint64_t uid;          /* 0 when one of the four is */
	uint64_t capabilities; /* effective, permitted and ambient together */
	uint64_t bounding;     /* what a program it starts could get */
	int seccomp;           /* 0 off, 1 strict, 2 filter; -1 not known */
	enum measured no_new_privileges;
	/* /proc/self/uid_map: who that user is outside of its user namespace. */
	bool has_user_namespace;
	uint64_t outside_uid;
	enum measured has_own_processes; /* a process namespace that is not the host's */
	/* /proc/self/mountinfo */
	bool has_mounts; /* it was read */
	enum measured has_read_only_root;
	/* Mounts that it can write, beside its own and temporary ones; remote ones that are not read-only count untouched. */
	size_t n_writable;
	char writable[MEASURE_PATH_MAX]; /* the first of them */
	/* /proc/net, /sys/class/net */
	bool has_interfaces;            /* they were read */
	enum measured is_closed;        /* YES: no route leaves this host */
	char way_out[MEASURE_NAME_MAX]; /* interface of the default route, else of any other */
	bool has_default_route;
	char device[MEASURE_NAME_MAX]; /* an interface with hardware behind it: the host's own */
};

/* Before anything is measured. */
#define MEASURED_NOTHING ((struct measured_host){.seccomp = -1, .uid = UINT64_MAX})

/*
 * root is put before every path ("" but in tests). own are paths that it has to write: mounts that hold them, or lie below, do
 * not count.
 */
void measure_host(
	const char *root, const struct span *own, size_t n_own, struct measured_host *out);

/* The first file of a service account, a cloud or a container engine that this user can use, or the name of a variable that holds such a
 * credential. False: none was found. */
bool measure_find_token(const char *root, char out[MEASURE_PATH_MAX]);

/* measure_network.c */
void measure_network(const char *root, struct measured_host *out);

/* Of the files behind it: a file of the kernel's as text; what follows splits it. */
bool measure_read(const char *root, const char *path, struct buf *out);
/* False at the end. */
bool measure_next_line(struct span *rest, struct span *line);
/* Separated by blanks and tabs; empty at the end. */
struct span measure_next_word(struct span *rest);
/* root and path as one; false when they are too long. */
bool measure_join(const char *root, const char *path, char *out, size_t size);

#endif
