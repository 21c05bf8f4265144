/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The build's own description; the NOMOS_BUILD_* macros come from cmake/NomosVersion.cmake. */
#include "base/version.h"

const struct version *
version_get(void)
{
	static const struct version v = {
		.version = NOMOS_BUILD_VERSION,
		.commit = NOMOS_BUILD_COMMIT,
		.build_date = NOMOS_BUILD_DATE,
		.compiler = NOMOS_BUILD_COMPILER,
		.modified = NOMOS_BUILD_MODIFIED,
	};

	return &v;
}
