/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Doctor's report for people and for scripts. Cold; one thread. */
#ifndef CLI_DOCTOR_TEXT_H
#define CLI_DOCTOR_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct doctor_check;
struct doctor_report;

/* The whole report, as `nomos doctor` prints it. is_short: checks that pass are only counted. */
void doctor_text_report(
	const struct doctor_report *r, bool has_colour, bool is_short, struct buf *out);
/* "[PASS] " or "[FAIL] " in the colour of what it says. */
void doctor_text_label(const struct doctor_check *check, bool has_colour, struct buf *out);
/* "Result: READY (assurance=...)" with its line's end. */
void doctor_text_result(const struct doctor_report *r, bool has_colour, struct buf *out);
/* Advice in it. */
size_t doctor_text_count_advice(const struct doctor_report *r);

#endif
