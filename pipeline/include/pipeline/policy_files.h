/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way from options to a compiled policy (decisions 33): for a snapshot, the command line
 * and doctor. Blocking; never on a loop.
 */
#ifndef PIPELINE_POLICY_FILES_H
#define PIPELINE_POLICY_FILES_H

#include "base/attr.h"
#include "base/err.h"
#include "pipeline/options.h"

struct policy;

/*
 * Reads the bundles, their signatures and the key, and loads them. In messages to clients and in records a bundle is named by
 * its path behind the folder that all bundles share, so that no path of the host gets out; errors name that folder too. ERR_*
 * as policy_load, ERR_NOT_FOUND and ERR_IO for files.
 */
MUSTCHECK enum err policy_files_load(
	const struct policy_section *options, struct policy **out, struct errinfo *ei);

#endif
