/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos config diff. One thread. */
#ifndef CLI_CONFIG_DIFF_H
#define CLI_CONFIG_DIFF_H

struct command;

int config_run_diff(const struct command *self, int argc, char **argv);

#endif
