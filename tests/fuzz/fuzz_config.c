/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a configuration, in both forms: never a crash, errors exactly when it is refused,
 * zeroed options then; and what was accepted dumps to a text that loads to the same dump. The first
 * byte chooses the form.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"
#include "config/print.h"
#include "unit/config/sample.h"

#define ARENA_BYTES ((size_t)32 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_round_trip(const struct sample *options, bool yaml)
{
	void (*dump)(const struct config_object *, const void *, struct buf *) =
		yaml ? config_dump_yaml : config_dump_json;
	struct config_report report;
	struct sample again;
	struct buf first;
	struct buf second;
	struct arena *a = arena_new(ARENA_BYTES);

	MUST(a != NULL);
	buf_init(&first, BUF_CAP_FILE);
	buf_init(&second, BUF_CAP_FILE);
	dump(&sample_config, options, &first);
	struct config_input in = {.file = yaml ? "d.yaml" : "d.json",
		.text = buf_span(&first),
		.directory = "/etc/nomos",
		.accept_hidden = true};
	MUST(config_load(&sample_config, &in, a, &again, &report, NULL) == OK);
	dump(&sample_config, &again, &second);
	MUST(span_eq(buf_span(&first), buf_span(&second)));
	buf_fini(&first);
	buf_fini(&second);
	arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sample zero;
	struct config_report report;
	struct errinfo ei;
	struct sample options;

	if (size == 0)
		return 0;
	struct config_input in = {.file = data[0] == 'y' ? "f.yaml" : "f.json",
		.text = span_of((const char *)data + 1, size - 1),
		.directory = "/etc/nomos"};
	struct arena *a = arena_new(ARENA_BYTES);
	MUST(a != NULL);
	enum err rc = config_load(&sample_config, &in, a, &options, &report, &ei);
	if (rc == OK) {
		MUST(report.n_errors == 0);
		check_round_trip(&options, true);
		check_round_trip(&options, false);
		config_wipe(&sample_config, &options);
	} else {
		MUST(memcmp(&options, &zero, sizeof(zero)) == 0);
		MUST(ei.msg[0] != '\0' && (report.n_errors > 0 || rc == ERR_NOMEM));
	}
	arena_free(&a);
	return 0;
}
