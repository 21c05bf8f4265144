/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that forgets: keeps the books of what SQLite has written and what of it was synced, cuts
 * the power at the n-th call, and says what may be found after the reboot. What was synced is
 * there. Of what was not, each sector of 512 bytes is there or not, a file that was made or
 * removed is or is not, until its folder is synced. The functions are static because each test
 * program is one file.
 */
#ifndef TESTS_FAULT_AUDIT_DISK_MODEL_H
#define TESTS_FAULT_AUDIT_DISK_MODEL_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/must.h"
#include "fault_vfs.h"
#include "support/test.h"

#define DISK_SECTOR 512
#define DISK_FILES 64

struct disk_change {
	bool is_truncate;
	size_t at; /* or the size */
	size_t n;
	char *bytes;
	struct disk_change *next;
};

/* One inode. */
struct disk_file {
	char path[300];
	bool is_linked;
	bool is_linked_for_sure; /* what the folder says on the disk */
	char *bytes;             /* synced */
	size_t n;
	size_t n_max; /* room */
	struct disk_change *changes;
	struct disk_change **last;
};

enum disk_mood { DISK_DROPS_ALL, DISK_KEEPS_ALL, DISK_TEARS, DISK_KEEPS_A_PREFIX, DISK_MOODS };

struct disk {
	pthread_mutex_t mutex;
	struct disk_file files[DISK_FILES];
	size_t n_files;
	uint64_t n_calls;
	uint64_t cut_at; /* 0: never */
	bool is_dead;
	uint64_t random;
	struct fault_vfs_watcher watcher;
};

static uint64_t
disk_random(struct disk *d)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return d->random;
}

static struct disk_file *
disk_add(struct disk *d, const char *path, bool for_sure)
{
	MUST(d->n_files < DISK_FILES);
	struct disk_file *f = &d->files[d->n_files++];
	*f = (struct disk_file){.is_linked = true, .is_linked_for_sure = for_sure};
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->last = &f->changes;
	return f;
}

static struct disk_file *
disk_find(struct disk *d, const char *path)
{
	for (size_t i = d->n_files; i > 0; i--) {
		if (d->files[i - 1].is_linked && strcmp(d->files[i - 1].path, path) == 0)
			return &d->files[i - 1];
	}
	return disk_add(d, path, false);
}

/* What was written is often little at the end of much: room grows by doubling. */
static void
disk_resize(struct disk_file *f, size_t n)
{
	if (n > f->n_max) {
		f->n_max = n > 2 * f->n_max ? n : 2 * f->n_max;
		f->bytes = realloc(f->bytes, f->n_max);
		MUST(f->bytes != NULL);
	}
	if (n > f->n)
		memset(f->bytes + f->n, 0, n - f->n);
	f->n = n;
}

static void
disk_apply(struct disk_file *f, const struct disk_change *c, size_t from, size_t to)
{
	size_t end = c->is_truncate ? c->at : c->at + to;

	if (c->is_truncate || end > f->n)
		disk_resize(f, end);
	if (!c->is_truncate)
		memcpy(f->bytes + c->at + from, c->bytes + from, to - from);
}

static void
disk_sync(struct disk_file *f)
{
	while (f->changes != NULL) {
		struct disk_change *c = f->changes;
		f->changes = c->next;
		disk_apply(f, c, 0, c->n);
		free(c->bytes);
		free(c);
	}
	f->last = &f->changes;
}

static void
disk_sync_folder(struct disk *d)
{
	for (size_t i = 0; i < d->n_files; i++)
		d->files[i].is_linked_for_sure = d->files[i].is_linked;
}

static void
disk_change(struct disk_file *f, bool is_truncate, size_t at, struct span bytes)
{
	struct disk_change *c = calloc(1, sizeof(*c));

	MUST(c != NULL);
	c->is_truncate = is_truncate;
	c->at = at;
	c->n = bytes.n;
	c->bytes = malloc(bytes.n + 1);
	MUST(c->bytes != NULL);
	if (bytes.n > 0)
		memcpy(c->bytes, bytes.p, bytes.n);
	*f->last = c;
	f->last = &c->next;
}

/* The power goes while the call is made: a write may be half there, a sync is not done. */
static enum fault_vfs_answer
disk_call(struct disk *d, enum fault_vfs_op op, const char *path, int64_t at, struct span bytes)
{
	struct disk_file *f = disk_find(d, path);

	d->n_calls++;
	d->is_dead = d->n_calls == d->cut_at;
	switch (op) {
	case FAULT_VFS_WRITE:
		disk_change(f, false, (size_t)at, bytes);
		break;
	case FAULT_VFS_TRUNCATE:
		disk_change(f, true, (size_t)at, SPAN_NONE);
		break;
	case FAULT_VFS_SYNC:
		if (!d->is_dead)
			disk_sync(f);
		if (!d->is_dead && at == 1)
			disk_sync_folder(d);
		return d->is_dead ? FAULT_VFS_FAIL : FAULT_VFS_SKIP;
	case FAULT_VFS_DELETE:
		f->is_linked = false;
		if (!d->is_dead && at == 1)
			disk_sync_folder(d);
		break;
	case FAULT_VFS_OPEN:
	case FAULT_VFS_READ:
	case FAULT_VFS_LOCK:
		break;
	}
	return d->is_dead ? FAULT_VFS_FAIL : FAULT_VFS_GO;
}

static enum fault_vfs_answer
disk_see(void *arg, enum fault_vfs_op op, const char *path, int64_t at, struct span bytes)
{
	struct disk *d = arg;
	enum fault_vfs_answer answer = FAULT_VFS_GO;

	MUST(pthread_mutex_lock(&d->mutex) == 0);
	if (d->is_dead)
		answer = FAULT_VFS_FAIL;
	else if (op != FAULT_VFS_READ && op != FAULT_VFS_LOCK)
		answer = disk_call(d, op, path, at, bytes);
	MUST(pthread_mutex_unlock(&d->mutex) == 0);
	return answer;
}

static void
disk_start(struct disk *d, uint64_t seed, uint64_t cut_at)
{
	memset(d, 0, sizeof(*d));
	MUST(pthread_mutex_init(&d->mutex, NULL) == 0);
	d->random = seed * 2654435761u + 88172645463325252u;
	d->cut_at = cut_at;
	d->watcher = (struct fault_vfs_watcher){.see = disk_see, .arg = d};
	fault_vfs_install();
	fault_vfs_watch(&d->watcher);
}

static bool
disk_keeps(struct disk *d, enum disk_mood mood, size_t at, size_t prefix)
{
	switch (mood) {
	case DISK_DROPS_ALL:
	case DISK_MOODS:
		return false;
	case DISK_KEEPS_ALL:
		return true;
	case DISK_TEARS:
		return disk_random(d) % 2 == 0;
	case DISK_KEEPS_A_PREFIX:
		return at < prefix;
	}
	UNREACHABLE("enum disk_mood");
}

/* What of the changes of one file is found after the reboot. */
static void
disk_survive(struct disk *d, struct disk_file *f, enum disk_mood mood)
{
	size_t n_changes = 0;
	size_t at = 0;

	for (struct disk_change *c = f->changes; c != NULL; c = c->next)
		n_changes++;
	size_t prefix = (size_t)(disk_random(d) % (n_changes + 1));
	for (struct disk_change *c = f->changes; c != NULL; c = c->next, at++) {
		if (c->is_truncate && disk_keeps(d, mood, at, prefix))
			disk_apply(f, c, 0, 0);
		for (size_t from = 0; !c->is_truncate && from < c->n;) {
			size_t to = from + DISK_SECTOR - (c->at + from) % DISK_SECTOR;
			to = to > c->n ? c->n : to;
			if (disk_keeps(d, mood, at, prefix))
				disk_apply(f, c, from, to);
			from = to;
		}
	}
}

static const char *
disk_name_in(const char *dir, const char *path, char out[600])
{
	snprintf(out, 600, "%s%s", dir, strrchr(path, '/'));
	return out;
}

/* The reboot: what is found goes to another folder. The disk is of no more use. */
static void
disk_reboot(struct disk *d, const char *dir)
{
	enum disk_mood mood = (enum disk_mood)(disk_random(d) % DISK_MOODS);
	struct errinfo ei;
	char name[600];

	fault_vfs_watch(NULL);
	for (size_t i = 0; i < d->n_files; i++) {
		struct disk_file *f = &d->files[i];
		bool is_found = f->is_linked == f->is_linked_for_sure ? f->is_linked
								      : disk_random(d) % 2 == 0;
		disk_survive(d, f, mood);
		if (is_found)
			MUST(fdio_write_file(disk_name_in(dir, f->path, name),
				     span_of(f->bytes != NULL ? f->bytes : "", f->n), 0600,
				     &ei) == OK);
		while (f->changes != NULL) {
			struct disk_change *c = f->changes;
			f->changes = c->next;
			free(c->bytes);
			free(c);
		}
		free(f->bytes);
	}
	pthread_mutex_destroy(&d->mutex);
}

/* A file that is on the disk when the books are opened. */
static void
disk_load(struct disk *d, const char *base, const char *tail)
{
	struct buf b;
	struct errinfo ei;
	char path[300];

	snprintf(path, sizeof(path), "%s%s", base, tail);
	buf_init(&b, (size_t)64 * 1024 * 1024);
	enum err rc = fdio_read_file(path, (size_t)64 * 1024 * 1024, &b, &ei);
	if (rc == OK) {
		struct disk_file *f = disk_add(d, path, true);
		disk_resize(f, b.n);
		if (b.n > 0)
			memcpy(f->bytes, b.p, b.n);
	}
	MUST(rc == OK || rc == ERR_NOT_FOUND);
	buf_fini(&b);
}

#endif
