/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* How many client connections the limit of open files leaves room for. Before the workers start; main thread. */
#ifndef RUNTIME_DESCRIPTORS_H
#define RUNTIME_DESCRIPTORS_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

/*
 * Raises the soft limit of open files as far as `wanted` connections need (0: as many as it allows now), and puts into *out how many of them one of
 * n_workers may have: all together leave the reserve to the ledger, the executors, the sinks and reloads. ERR_INVALID
 * when the limit leaves none, naming what is needed; ERR_IO.
 */
MUSTCHECK enum err descriptors_share(
	size_t wanted, size_t n_workers, size_t *out, struct errinfo *ei);

#endif
