/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h> /* so that the file compiles alone */

#ifdef X
/*
 * X(id, name): every fault point. Each has two moments, "name.before" and "name.after" the call it
 * stands at. tests/fault/test_fault_points.py reads these rows: a point that its scenario never
 * reaches is a failure.
 */
X(LEDGER_SUBMIT, "ledger.submit")
X(LEDGER_TURN, "ledger.turn") /* the writer has taken what was queued, and given it back */
X(LEDGER_BEGIN, "ledger.begin")
X(LEDGER_APPEND, "ledger.append")
X(LEDGER_CLOSE, "ledger.close")   /* an intent gets its outcome */
X(LEDGER_META, "ledger.meta")     /* chain id, mark of the checkpoint, probe */
X(LEDGER_CURSOR, "ledger.cursor") /* how far a sink is */
X(LEDGER_COMMIT, "ledger.commit")
X(LEDGER_SCHEMA, "ledger.schema") /* tables of a new file */
X(LEDGER_LOCK, "ledger.lock")     /* the lock file */
X(LEDGER_SETTLE, "ledger.settle") /* intents that a crash left open */
X(FILE_CREATE, "file.create")     /* key, public key, head file, note of a seal */
X(FILE_WRITE, "file.write")
X(FILE_SYNC, "file.sync")
X(FILE_RENAME, "file.rename")
X(FILE_SYNC_FOLDER, "file.sync_folder")
X(SINK_DELIVER, "sink.deliver")
X(EFFECT, "effect") /* the executor, on the pool */
X(FS_READ, "fs_read.read")
X(FS_WRITE_CREATE, "fs_write.create")
X(FS_WRITE_WRITE, "fs_write.write")
X(FS_WRITE_SYNC, "fs_write.sync")
X(FS_WRITE_RENAME, "fs_write.rename")
X(FS_WRITE_SYNC_FOLDER, "fs_write.sync_folder")
X(RELOAD_SWAP, "reload.swap") /* the new snapshot goes to the workers */
X(BACKUP_CREATE, "backup.create")
X(BACKUP_COPY, "backup.copy")
X(BACKUP_SYNC, "backup.sync")
X(BACKUP_RENAME, "backup.rename")
X(SEAL_MOVE, "seal.move") /* each file of a sealed ledger */
X(SEAL_SYNC_FOLDER, "seal.sync_folder")
X(EXPORT_WRITE, "export.write")
X(VFS_OPEN, "vfs.open") /* what SQLite does to its files, from here on */
X(VFS_READ, "vfs.read")
X(VFS_WRITE, "vfs.write")
X(VFS_HALF, "vfs.half") /* between the two halves of a write */
X(VFS_TRUNCATE, "vfs.truncate")
X(VFS_SYNC, "vfs.sync")
X(VFS_DELETE, "vfs.delete")
X(VFS_LOCK, "vfs.lock")
X(VFS_SHM, "vfs.shm") /* the index of the write-ahead log */
#endif
