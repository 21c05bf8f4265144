/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Identifiers. Request ids are made by us, never taken from a client: "req_" and 24 lower-case hex
 * digits, unique in the process's life by a random prefix and a counter. Any thread.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>

#include "base/span.h"

#define ID_MAX 40 /* with the NUL */

void id_request(char out[ID_MAX]);
/* ^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$ : action_id and trace_id. */
bool id_is_valid(struct span s);
/* ^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$ : action types. */
bool id_is_action_type(struct span s);

#endif
