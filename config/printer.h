/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Nested text in block YAML or in indented JSON from the same calls. The caller keeps opens and
 * closes in pairs; failure is that of the buffer. Private; one thread.
 */
#ifndef CONFIG_PRINTER_H
#define CONFIG_PRINTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct buf;

struct printer {
	struct buf *out;
	bool yaml;
	unsigned depth;
	bool is_first; /* JSON: no comma before the next item */
	bool dash;     /* YAML: the next line starts an element */
};

void printer_init(struct printer *p, struct buf *out, bool yaml);
/* Ends the text with a newline. */
void printer_end(struct printer *p);
/* A row's name, or any text as a name; a value or an open follows. */
void printer_key(struct printer *p, struct span name);
void printer_key_text(struct printer *p, struct span text);
void printer_open(struct printer *p, char bracket);
void printer_close(struct printer *p, char bracket);
/* The next open is an element of a list of objects. */
void printer_element(struct printer *p);
void printer_string(struct printer *p, struct span s);
void printer_int(struct printer *p, int64_t v);
void printer_bool(struct printer *p, bool v);
/* ["a", "b"] on one line. */
void printer_strings(struct printer *p, const struct span *v, size_t n);
/* {} or []. */
void printer_empty(struct printer *p, const char *brackets);

#endif
