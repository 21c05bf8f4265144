/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The sinks `stdout` and `stderr`: one export line per record on a descriptor. A reader that is
 * slow or stuck blocks only the sink's thread, and stop ends that wait.
 */
#ifndef AUDIT_SINK_STREAM_H
#define AUDIT_SINK_STREAM_H

#include "audit/sink.h"
#include "base/attr.h"
#include "base/err.h"

/* name is static text; fd is borrowed, its flags are left alone. ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err sink_stream_new(const char *name, int fd, struct sink **out, struct errinfo *ei);

#endif
