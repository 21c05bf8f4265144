/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* GET /healthz, /readyz, /version, /openapi.yaml: public, without a side effect, never a path of the host. Worker's thread. */
#include "gateway/gateway.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/version.h"
#include "routes.h"

#define HEALTH_BYTES_MAX 4096

static const struct http_header plain_text = {
	{"Content-Type", 12}, {"text/plain; charset=utf-8", 25}};

void
api_healthz(const struct exchange *x)
{
	if (runtime_is_draining(worker_get_runtime(x->worker)))
		http_request_reply(x->http, 503, &plain_text, 1, SPAN_LIT("draining"));
	else
		http_request_reply(x->http, 200, &plain_text, 1, SPAN_LIT("ok"));
}

void
api_readyz(const struct exchange *x)
{
	struct readiness_check checks[READINESS_CHECKS];
	bool is_ready = runtime_check_ready(x->worker, checks);
	struct buf b;

	buf_init(&b, HEALTH_BYTES_MAX);
	buf_add_cstr(&b, is_ready ? "{\"status\":\"ready\"" : "{\"status\":\"not_ready\"");
	BUF_ADD_LIT(&b, ",\"checks\":[\n");
	for (size_t i = 0; i < READINESS_CHECKS; i++) {
		if (i > 0)
			BUF_ADD_LIT(&b, ",\n");
		BUF_ADD_LIT(&b, "{\"name\":");
		json_quote(&b, span_cstr(checks[i].name));
		buf_add_cstr(&b, checks[i].is_ok ? ",\"ok\":true,\"message\":"
						 : ",\"ok\":false,\"message\":");
		json_quote(&b, span_cstr(checks[i].message));
		buf_add_char(&b, '}');
	}
	BUF_ADD_LIT(&b, "\n]}\n");
	reply_built(x->http, is_ready ? 200 : 503, &b);
	buf_fini(&b);
}

void
api_version(const struct exchange *x)
{
	const struct version *v = version_get();
	struct buf b;

	buf_init(&b, HEALTH_BYTES_MAX);
	BUF_ADD_LIT(&b, "{\"Version\":");
	json_quote(&b, span_cstr(v->version));
	BUF_ADD_LIT(&b, ",\"Commit\":");
	json_quote(&b, span_cstr(v->commit));
	BUF_ADD_LIT(&b, ",\"BuildDate\":");
	json_quote(&b, span_cstr(v->build_date));
	BUF_ADD_LIT(&b, ",\"Compiler\":");
	json_quote(&b, span_cstr(v->compiler));
	buf_add_cstr(&b, v->modified ? ",\"Modified\":true}\n" : ",\"Modified\":false}\n");
	reply_built(x->http, 200, &b);
	buf_fini(&b);
}

void
api_openapi(const struct exchange *x)
{
	static const struct http_header yaml = {
		{"Content-Type", 12}, {"application/yaml; charset=utf-8", 31}};

	http_request_reply(x->http, 200, &yaml, 1, gateway_get_openapi());
}
