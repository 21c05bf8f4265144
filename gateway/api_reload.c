/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /admin/reload (nomos-http.md 1.11) for the role operator: the same reload as SIGHUP; GET says what it would change. The runtime answers later; what the
 * wait needs lives in one heap object, since the request's principal is only borrowed for this turn. Worker's thread.
 */
#include "routes.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "ui_job.h"

#define RELOAD_REPLY_MAX 4096

struct pending_reload {
	struct reload_request request; /* first: done casts back */
	struct http_request *http;
	char *principal;
};

static void
free_pending(struct pending_reload *p)
{
	mem_free(p->principal);
	mem_free(p);
}

static void
on_done(struct reload_request *q)
{
	struct pending_reload *p = (struct pending_reload *)(void *)q;
	struct buf b;

	buf_init(&b, RELOAD_REPLY_MAX);
	buf_add_cstr(&b, q->result == OK ? "{\"outcome\":\"success\"" : "{\"outcome\":\"failure\"");
	BUF_ADD_LIT(&b, ",\"trigger\":\"admin\",\"policy_bundle_hash\":");
	json_quote(&b, span_cstr(q->policy_hash));
	BUF_ADD_LIT(&b, ",\"registry_version\":0");
	/* The reason names files and is for the log; the operator is told where to look. */
	if (q->result != OK)
		BUF_ADD_LIT(&b,
			",\"error\":\"the running configuration stays; the log has the reason\"");
	BUF_ADD_LIT(&b, "}\n");
	struct span body = buf_span(&b);
	if (buf_failed(&b))
		body = q->result == OK ? SPAN_LIT("{\"outcome\":\"success\"}\n")
				       : SPAN_LIT("{\"outcome\":\"failure\"}\n");
	reply_json(p->http, q->result == OK ? 200 : 400, body);
	buf_fini(&b);
	free_pending(p);
}

void
api_reload(const struct exchange *x)
{
	struct pending_reload *p = mem_zalloc(1, sizeof(*p));
	char *principal = mem_dup_span(x->caller.principal);

	if (p == NULL || principal == NULL) {
		mem_free(p);
		mem_free(principal);
		reply_error(x->http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
		return;
	}
	p->http = x->http;
	p->principal = principal;
	p->request.loop = worker_get_loop(x->worker);
	p->request.principal = span_cstr(principal);
	p->request.trigger = "admin";
	p->request.done = on_done;
	http_request_defer(x->http);
	runtime_reload(worker_get_runtime(x->worker), &p->request);
}

static void
preview(struct ui_job *job)
{
	struct errinfo ei;
	enum err rc = runtime_preview_reload(
		worker_get_runtime(job->worker), job->snapshot, &job->body, &ei);

	buf_add_char(&job->body, '\n');
	if (rc == ERR_UNSUPPORTED)
		ui_job_fail(job, 404, "not_enabled", ei.msg);
	else if (rc != OK)
		ui_job_fail(job, 503, "overloaded", "no room for the answer");
}

void
api_reload_preview(const struct exchange *x)
{
	struct ui_job *job = ui_job_new_without_ledger(x, preview);

	if (job != NULL)
		ui_job_start(job);
}
