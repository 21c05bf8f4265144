/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A YAML document, driven through libyaml, which only this file and yaml_tree.c see. Any thread. */
#include "base/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "yaml_directive.h"
#include "yaml_reader.h"

bool
yaml_fail(struct yaml_reader *r, enum json_fault fault, yaml_mark_t at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->message, sizeof(r->message), fmt, ap);
	va_end(ap);
	r->fault = fault;
	r->line = (uint32_t)at.line + 1;
	r->column = (uint32_t)at.column + 1;
	return false;
}

bool
yaml_fail_memory(struct yaml_reader *r, yaml_mark_t at)
{
	return yaml_fail(r, JSON_FAULT_MEMORY, at, "document too large");
}

/* Puts libyaml's complaint into r. Its reader knows the byte only, the other parts the place. */
static bool
fail_parser(struct yaml_reader *r)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t at = p->problem_mark;
	enum json_fault fault = JSON_FAULT_SYNTAX;

	if (p->error == YAML_MEMORY_ERROR)
		return yaml_fail_memory(r, p->mark);
	if (p->error == YAML_READER_ERROR) {
		at = (yaml_mark_t){0};
		for (size_t i = 0; i < p->problem_offset && i < r->text.n; i++) {
			at.line += r->text.p[i] == '\n';
			at.column = r->text.p[i] == '\n' ? 0 : at.column + 1;
		}
		fault = JSON_FAULT_UTF8;
	}
	if (r->phase == PHASE_AFTER)
		return yaml_fail(r, JSON_FAULT_TRAILING, at, "trailing document");
	/* Patterns begin with a star, and who forgets the quotes has no way to know what libyaml means. */
	if (p->context != NULL && strstr(p->context, "an alias") != NULL)
		return yaml_fail(r, fault, at, "a value that begins with * has to be in quotes");
	return yaml_fail(r, fault, at, "%s", p->problem != NULL ? p->problem : "malformed yaml");
}

static bool
read_document(struct yaml_reader *r)
{
	bool ok = true;

	while (ok && !r->is_done) {
		yaml_event_t e;
		if (yaml_parser_parse(&r->parser, &e) == 0)
			return fail_parser(r);
		ok = yaml_read_event(r, &e);
		yaml_event_delete(&e);
	}
	return ok;
}

static enum err
report(const struct yaml_reader *r, const char *file, struct json_error *je, struct errinfo *ei)
{
	enum err code = r->fault == JSON_FAULT_MEMORY ? ERR_TOO_LARGE : ERR_PARSE;

	if (je != NULL) {
		*je = (struct json_error){.fault = r->fault, .line = r->line, .column = r->column};
		json_tree_path(&r->open, je->path, sizeof(je->path));
	}
	return ERR(ei, code, "%s:%u:%u: %s", file, r->line, r->column, r->message);
}

/* A byte order mark, which some editors write. libyaml would take it for the first column, and the next line for another document. */
static struct span
without_mark(struct span text)
{
	return span_starts(text, SPAN_LIT("\xEF\xBB\xBF")) ? span_from(text, 3) : text;
}

enum err
yaml_parse_detailed(struct span text, const char *file, struct arena *a, const struct json **out,
	struct json_error *je, struct errinfo *ei)
{
	struct span document = without_mark(text);
	struct yaml_reader r = {.arena = a, .text = document};
	yaml_mark_t at = {0};
	uint32_t line = 0;
	bool ok;

	*out = NULL;
	if (yaml_find_tag_directive(document, &line)) {
		at.line = line;
		yaml_fail(&r, JSON_FAULT_SYNTAX, at, "tag directive");
		return report(&r, file, je, ei);
	}
	if (document.n >= UINT32_MAX || yaml_parser_initialize(&r.parser) == 0) {
		yaml_fail_memory(&r, (yaml_mark_t){0});
		return report(&r, file, je, ei);
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser,
		(const unsigned char *)(document.p != NULL ? document.p : ""), document.n);
	ok = read_document(&r);
	yaml_parser_delete(&r.parser);
	if (!ok)
		return report(&r, file, je, ei);
	*out = r.root;
	return OK;
}

enum err
yaml_parse(struct span text, const char *file, struct arena *a, const struct json **out,
	struct errinfo *ei)
{
	return yaml_parse_detailed(text, file, a, out, NULL, ei);
}
