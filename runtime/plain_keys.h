/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_PLAIN_KEYS_H
#define RUNTIME_PLAIN_KEYS_H

struct snapshot;

/* One line while API keys stand in clear in the configuration, with what to do; at a start and a reload. */
void plain_keys_warn(const struct snapshot *s);

#endif
