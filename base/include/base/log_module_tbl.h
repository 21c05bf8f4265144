/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* X(ID, name): the modules that write log lines, each a folder of the source. The build gives each its NOMOS_LOG_MODULE. Includers define X. */
#include <stddef.h> /* so that the file compiles alone */

#ifdef X
X(LOG_MODULE_OTHER, "other")
X(LOG_MODULE_BASE, "base")
X(LOG_MODULE_CONFIG, "config")
X(LOG_MODULE_POLICY, "policy")
X(LOG_MODULE_AUDIT, "audit")
X(LOG_MODULE_NET, "net")
X(LOG_MODULE_OUTBOUND, "outbound")
X(LOG_MODULE_PIPELINE, "pipeline")
X(LOG_MODULE_RUNTIME, "runtime")
X(LOG_MODULE_GATEWAY, "gateway")
X(LOG_MODULE_CLI, "cli")
#endif
