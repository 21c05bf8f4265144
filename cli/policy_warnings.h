/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a policy's loader noticed without refusing it, as log lines for people. One thread. */
#ifndef CLI_POLICY_WARNINGS_H
#define CLI_POLICY_WARNINGS_H

struct policy;

void print_policy_warnings(const struct policy *p);

#endif
