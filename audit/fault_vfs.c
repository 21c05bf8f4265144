/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The VFS of fault_vfs.h. Each file carries the real one behind itself; every call asks the
 * watcher, passes its fault points, and goes on to the real file. Runs on the threads that use the
 * connections.
 */
#include "fault_vfs.h"

#if NOMOS_FAULT_POINTS

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/fault.h"
#include "base/must.h"

struct layered_file {
	sqlite3_file base; /* first */
	const char *path;
	bool syncs_folder; /* a log or journal that is new: its first sync syncs its folder too */
	sqlite3_file *real;
	int64_t room; /* of the real file, and as much more as it needs; as SQLite aligns */
};

static _Atomic(const struct fault_vfs_watcher *) watcher;
static pthread_once_t installed = PTHREAD_ONCE_INIT;
static _Atomic(sqlite3_vfs *) real_vfs;

static struct layered_file *
file_of(sqlite3_file *f)
{
	return (struct layered_file *)(void *)f;
}

static sqlite3_vfs *
real(void)
{
	return atomic_load_explicit(&real_vfs, memory_order_acquire);
}

static enum fault_vfs_answer
ask(enum fault_vfs_op op, const char *path, int64_t at, struct span bytes)
{
	const struct fault_vfs_watcher *w = atomic_load_explicit(&watcher, memory_order_acquire);

	return w == NULL || path == NULL ? FAULT_VFS_GO : w->see(w->arg, op, path, at, bytes);
}

/* What errno means to SQLite; the extended code says which call it was. */
static int
failed(int extended)
{
	return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : extended;
}

/* ---- files ---- */

static int
file_close(sqlite3_file *f)
{
	return file_of(f)->real->pMethods->xClose(file_of(f)->real);
}

static int
file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	struct layered_file *l = file_of(f);

	if (ask(FAULT_VFS_READ, l->path, at, SPAN_NONE) == FAULT_VFS_FAIL || FAULT_BEFORE(VFS_READ))
		return SQLITE_IOERR_READ;
	int rc = l->real->pMethods->xRead(l->real, p, n, at);
	return rc == SQLITE_OK && FAULT_AFTER(VFS_READ) ? SQLITE_IOERR_READ : rc;
}

/* In two halves, so that a fault can strike between them. */
static int
write_halves(struct layered_file *l, const char *p, int n, sqlite3_int64 at)
{
	int half = n / 2;
	int rc = l->real->pMethods->xWrite(l->real, p, half, at);

	if (rc == SQLITE_OK && (FAULT_BEFORE(VFS_HALF) || FAULT_AFTER(VFS_HALF)))
		rc = failed(SQLITE_IOERR_WRITE);
	if (rc == SQLITE_OK)
		rc = l->real->pMethods->xWrite(l->real, p + half, n - half, at + half);
	return rc;
}

static int
file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	struct layered_file *l = file_of(f);

	if (ask(FAULT_VFS_WRITE, l->path, at, span_of(p, (size_t)n)) == FAULT_VFS_FAIL)
		return SQLITE_IOERR_WRITE;
	if (FAULT_BEFORE(VFS_WRITE))
		return failed(SQLITE_IOERR_WRITE);
	int rc = n >= 2 ? write_halves(l, p, n, at) : l->real->pMethods->xWrite(l->real, p, n, at);
	return rc == SQLITE_OK && FAULT_AFTER(VFS_WRITE) ? failed(SQLITE_IOERR_WRITE) : rc;
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	struct layered_file *l = file_of(f);

	if (ask(FAULT_VFS_TRUNCATE, l->path, size, SPAN_NONE) == FAULT_VFS_FAIL ||
		FAULT_BEFORE(VFS_TRUNCATE))
		return SQLITE_IOERR_TRUNCATE;
	int rc = l->real->pMethods->xTruncate(l->real, size);
	return rc == SQLITE_OK && FAULT_AFTER(VFS_TRUNCATE) ? SQLITE_IOERR_TRUNCATE : rc;
}

static int
file_sync(sqlite3_file *f, int flags)
{
	struct layered_file *l = file_of(f);
	enum fault_vfs_answer answer =
		ask(FAULT_VFS_SYNC, l->path, l->syncs_folder ? 1 : 0, SPAN_NONE);

	if (answer == FAULT_VFS_FAIL || FAULT_BEFORE(VFS_SYNC))
		return SQLITE_IOERR_FSYNC;
	int rc = answer == FAULT_VFS_SKIP ? SQLITE_OK : l->real->pMethods->xSync(l->real, flags);
	if (rc == SQLITE_OK)
		l->syncs_folder = false;
	return rc == SQLITE_OK && FAULT_AFTER(VFS_SYNC) ? SQLITE_IOERR_FSYNC : rc;
}

static int
file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return file_of(f)->real->pMethods->xFileSize(file_of(f)->real, size);
}

static int
file_lock(sqlite3_file *f, int kind)
{
	struct layered_file *l = file_of(f);

	if (ask(FAULT_VFS_LOCK, l->path, kind, SPAN_NONE) == FAULT_VFS_FAIL)
		return SQLITE_IOERR_LOCK;
	if (FAULT_BEFORE(VFS_LOCK))
		return errno == EAGAIN ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
	int rc = l->real->pMethods->xLock(l->real, kind);
	if (rc != SQLITE_OK || !FAULT_AFTER(VFS_LOCK))
		return rc;
	(void)l->real->pMethods->xUnlock(l->real, SQLITE_LOCK_NONE);
	return SQLITE_IOERR_LOCK;
}

static int
file_unlock(sqlite3_file *f, int kind)
{
	return file_of(f)->real->pMethods->xUnlock(file_of(f)->real, kind);
}

static int
file_check_reserved_lock(sqlite3_file *f, int *is_reserved)
{
	return file_of(f)->real->pMethods->xCheckReservedLock(file_of(f)->real, is_reserved);
}

static int
file_control(sqlite3_file *f, int op, void *arg)
{
	return file_of(f)->real->pMethods->xFileControl(file_of(f)->real, op, arg);
}

static int
file_sector_size(sqlite3_file *f)
{
	return file_of(f)->real->pMethods->xSectorSize(file_of(f)->real);
}

static int
file_device_characteristics(sqlite3_file *f)
{
	return file_of(f)->real->pMethods->xDeviceCharacteristics(file_of(f)->real);
}

static int
file_shm_map(sqlite3_file *f, int page, int size, int extends, void volatile **out)
{
	struct layered_file *l = file_of(f);

	*out = NULL;
	if (FAULT_BEFORE(VFS_SHM))
		return failed(SQLITE_IOERR_SHMMAP);
	int rc = l->real->pMethods->xShmMap(l->real, page, size, extends, out);
	return rc == SQLITE_OK && FAULT_AFTER(VFS_SHM) ? failed(SQLITE_IOERR_SHMMAP) : rc;
}

static int
file_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return file_of(f)->real->pMethods->xShmLock(file_of(f)->real, at, n, flags);
}

static void
file_shm_barrier(sqlite3_file *f)
{
	file_of(f)->real->pMethods->xShmBarrier(file_of(f)->real);
}

static int
file_shm_unmap(sqlite3_file *f, int deletes)
{
	return file_of(f)->real->pMethods->xShmUnmap(file_of(f)->real, deletes);
}

/* Version 2: without the mapped reads of version 3, so that every read is seen. */
static const sqlite3_io_methods file_methods = {2, file_close, file_read, file_write, file_truncate,
	file_sync, file_size, file_lock, file_unlock, file_check_reserved_lock, file_control,
	file_sector_size, file_device_characteristics, file_shm_map, file_shm_lock,
	file_shm_barrier, file_shm_unmap, NULL, NULL};

/* ---- the file system ---- */

static int
vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out_flags)
{
	struct layered_file *l = file_of(f);
	int is_there = 0;

	(void)vfs;
	l->base.pMethods = NULL;
	l->path = path;
	l->real = (sqlite3_file *)(void *)&l->room;
	if (path != NULL)
		(void)real()->xAccess(real(), path, SQLITE_ACCESS_EXISTS, &is_there);
	l->syncs_folder = is_there == 0 && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));
	if ((is_there == 0 && ask(FAULT_VFS_OPEN, path, 0, SPAN_NONE) == FAULT_VFS_FAIL) ||
		FAULT_BEFORE(VFS_OPEN))
		return SQLITE_CANTOPEN;
	int rc = real()->xOpen(real(), path, l->real, flags, out_flags);
	if (rc == SQLITE_OK && FAULT_AFTER(VFS_OPEN)) {
		(void)l->real->pMethods->xClose(l->real);
		rc = SQLITE_CANTOPEN;
	}
	if (rc == SQLITE_OK)
		l->base.pMethods = &file_methods;
	return rc;
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *path, int syncs_folder)
{
	(void)vfs;
	if (ask(FAULT_VFS_DELETE, path, syncs_folder, SPAN_NONE) == FAULT_VFS_FAIL ||
		FAULT_BEFORE(VFS_DELETE))
		return SQLITE_IOERR_DELETE;
	int rc = real()->xDelete(real(), path, syncs_folder);
	return rc == SQLITE_OK && FAULT_AFTER(VFS_DELETE) ? SQLITE_IOERR_DELETE : rc;
}

static int
vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	(void)vfs;
	return real()->xAccess(real(), path, flags, out);
}

static int
vfs_full_pathname(sqlite3_vfs *vfs, const char *path, int n, char *out)
{
	(void)vfs;
	return real()->xFullPathname(real(), path, n, out);
}

static int
vfs_randomness(sqlite3_vfs *vfs, int n, char *out)
{
	(void)vfs;
	return real()->xRandomness(real(), n, out);
}

static int
vfs_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return real()->xSleep(real(), us);
}

static int
vfs_current_time(sqlite3_vfs *vfs, sqlite3_int64 *now)
{
	(void)vfs;
	return real()->xCurrentTimeInt64(real(), now);
}

static int
vfs_last_error(sqlite3_vfs *vfs, int n, char *out)
{
	(void)vfs;
	return real()->xGetLastError(real(), n, out);
}

static void
install(void)
{
	static sqlite3_vfs layer = {.iVersion = 2,
		.zName = "nomos-fault",
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_pathname,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xGetLastError = vfs_last_error,
		.xCurrentTimeInt64 = vfs_current_time};
	sqlite3_vfs *found = sqlite3_vfs_find(NULL);

	MUST(found != NULL && found->iVersion >= 2);
	atomic_store_explicit(&real_vfs, found, memory_order_release);
	layer.szOsFile = (int)offsetof(struct layered_file, room) + found->szOsFile;
	layer.mxPathname = found->mxPathname;
	MUST(sqlite3_vfs_register(&layer, 1) == SQLITE_OK);
}

void
fault_vfs_install(void)
{
	MUST(pthread_once(&installed, install) == 0);
}

void
fault_vfs_watch(const struct fault_vfs_watcher *w)
{
	atomic_store_explicit(&watcher, w, memory_order_release);
}

#endif
