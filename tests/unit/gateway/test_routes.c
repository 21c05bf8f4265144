/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The route table and the published document say the same: paths, methods, who may call, what may be sent. */
#include "gateway/gateway.h"

#include <ctype.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/yaml.h"
#include "support/test.h"

#define ARENA_BYTES (4 * 1024 * 1024)

static const struct json *
read_document(struct arena *a)
{
	const struct json *doc = NULL;
	struct errinfo ei = {0};

	CHECK_INT(yaml_parse(gateway_get_openapi(), "nomos.v1.yaml", a, &doc, &ei), OK);
	CHECK_STR(ei.msg, "");
	return doc;
}

static struct span
lower_method(enum http_method m, char out[16])
{
	const char *text = http_method_text(m);
	size_t n = 0;

	for (; text[n] != '\0' && n < 15; n++)
		out[n] = (char)tolower((unsigned char)text[n]);
	return span_of(out, n);
}

TEST(each_route_is_in_the_document_with_its_access)
{
	struct arena *a = arena_new(ARENA_BYTES);
	const struct json *paths = json_find_cstr(read_document(a), "paths");
	size_t n = 0;
	const struct gateway_route_info *routes = gateway_get_routes(&n);

	CHECK(n > 0);
	for (size_t i = 0; i < n; i++) {
		char method[16];
		const struct json *path = json_find_cstr(paths, routes[i].path);
		const struct json *op = json_find(path, lower_method(routes[i].method, method));
		if (op == NULL) {
			FAIL("%s is not in the document", routes[i].path);
			continue;
		}
		const struct json *access = json_find_cstr(op, "x-nomos-access");
		CHECK(access != NULL && span_eq_cstr(access->text, routes[i].access));
		CHECK(json_find_cstr(op, "operationId") != NULL);
		const struct json *answers = json_find_cstr(op, "responses");
		if ((json_find_cstr(op, "requestBody") != NULL) != routes[i].has_body ||
			(json_find_cstr(answers, "413") != NULL) != routes[i].has_body)
			FAIL("%s: the document has a body and 413 where the route takes one",
				routes[i].path);
	}
	arena_free(&a);
}

TEST(each_path_of_the_document_is_a_route)
{
	struct arena *a = arena_new(ARENA_BYTES);
	const struct json *paths = json_find_cstr(read_document(a), "paths");
	size_t n = 0;
	size_t n_operations = 0;
	const struct gateway_route_info *routes = gateway_get_routes(&n);

	for (const struct json *path = paths->first; path != NULL; path = path->next) {
		for (const struct json *op = path->first; op != NULL; op = op->next) {
			bool is_found = false;
			if (span_eq_cstr(op->name, "parameters"))
				continue;
			for (size_t i = 0; i < n; i++) {
				char method[16];
				is_found = is_found ||
					   (span_eq_cstr(path->name, routes[i].path) &&
						   span_eq(op->name,
							   lower_method(routes[i].method, method)));
			}
			if (!is_found)
				FAIL("%.*s %.*s is no route", SPAN_ARG(op->name),
					SPAN_ARG(path->name));
			n_operations++;
		}
	}
	CHECK_INT(n_operations, n);
	arena_free(&a);
}

SUITE("routes", TEST_ROW(each_route_is_in_the_document_with_its_access),
	TEST_ROW(each_path_of_the_document_is_a_route))
