/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* X(name): the commands in the order of the help; each is `cmd_<name>` in cmd_<name>.c. Includers define X. */
#include <stddef.h>

X(init)
X(serve)
X(send)
X(sign)
X(keys)
X(doctor)
X(config)
X(policy)
X(approvals)
X(actions)
X(audit)
X(test)
X(version)
