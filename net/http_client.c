/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that knows libcurl: one blocking call at a time for each client. Must never
 * follow a redirect, use a proxy or a credential that nobody configured, speak anything but http
 * and https, nor connect to a refused address. Runs on threads that may block; only
 * http_client_stop may come from elsewhere.
 */
#define _GNU_SOURCE /* SOCK_CLOEXEC */

#include "net/http_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "addr_guard.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"

#define CLIENT_MAGIC 0x6874636cu
#define URL_MAX 4096
#define HEADER_MAX (16 * 1024)

struct http_client {
	unsigned magic;
	CURL *easy;
	struct http_client_options options;
	char *ca_file;
	char *cert_file;
	char *key_file;
	atomic_bool is_stopped;
	bool is_refused;   /* an address was, in this call */
	size_t n_reply;    /* body bytes, in this call */
	struct buf *reply; /* this call's; NULL: nobody reads it */
	bool is_unix;      /* this call is to a socket that was named */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_started;

static void
start_library(void)
{
	is_started = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

void
http_client_options_init(struct http_client_options *o)
{
	*o = (struct http_client_options){
		.connect_timeout_ns = 5 * NS_PER_SEC,
		.total_timeout_ns = 10 * NS_PER_SEC,
		.max_reply_bytes = 64 * 1024,
	};
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct http_client *c;

	OBJ_CAST(c, arg, CLIENT_MAGIC);
	size_t total = size * n;
	if (total > c->options.max_reply_bytes - c->n_reply)
		return CURL_WRITEFUNC_ERROR;
	c->n_reply += total;
	if (c->reply == NULL)
		return total;
	buf_add(c->reply, bytes, total);
	return buf_failed(c->reply) ? CURL_WRITEFUNC_ERROR : total;
}

static int
on_progress(void *arg, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total, curl_off_t ul)
{
	struct http_client *c;

	(void)dl_total;
	(void)dl;
	(void)ul_total;
	(void)ul;
	OBJ_CAST(c, arg, CLIENT_MAGIC);
	return atomic_load_explicit(&c->is_stopped, memory_order_relaxed) ? 1 : 0;
}

/* Called with each resolved address before it is dialled. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_client *c;

	OBJ_CAST(c, arg, CLIENT_MAGIC);
	bool is_unix = address->family == AF_UNIX;
	bool is_allowed = purpose == CURLSOCKTYPE_IPCXN && is_unix == c->is_unix &&
			  (is_unix || c->options.allow_link_local ||
				  !addr_guard_is_link_local(&address->addr, address->addrlen));
	if (!is_allowed) {
		c->is_refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool
set_long(CURL *easy, CURLoption option, long value)
{
	return curl_easy_setopt(easy, option, value) == CURLE_OK;
}

static bool
set_text(CURL *easy, CURLoption option, const char *value)
{
	return curl_easy_setopt(easy, option, value) == CURLE_OK;
}

static long
to_ms(int64_t ns)
{
	return (long)((ns + NS_PER_MS - 1) / NS_PER_MS);
}

/* What never changes between calls. */
static bool
set_up(struct http_client *c)
{
	CURL *e = c->easy;

	/* QUICK_EXIT: a name that does not resolve must not hold up stop and free. */
	return set_long(e, CURLOPT_NOSIGNAL, 1L) && set_long(e, CURLOPT_QUICK_EXIT, 1L) &&
	       set_text(e, CURLOPT_PROTOCOLS_STR, "http,https") &&
	       set_long(e, CURLOPT_FOLLOWLOCATION, 0L) && set_text(e, CURLOPT_PROXY, "") &&
	       set_text(e, CURLOPT_NOPROXY, "*") && set_long(e, CURLOPT_SSL_VERIFYPEER, 1L) &&
	       set_long(e, CURLOPT_SSL_VERIFYHOST, 2L) &&
	       set_long(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       set_long(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) &&
	       set_long(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
	       set_long(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	       set_long(e, CURLOPT_MAXCONNECTS, 1L) && set_text(e, CURLOPT_USERAGENT, "nomos") &&
	       set_long(e, CURLOPT_CONNECTTIMEOUT_MS, to_ms(c->options.connect_timeout_ns)) &&
	       set_long(e, CURLOPT_TIMEOUT_MS, to_ms(c->options.total_timeout_ns)) &&
	       (c->ca_file == NULL || set_text(e, CURLOPT_CAINFO, c->ca_file)) &&
	       (c->cert_file == NULL || set_text(e, CURLOPT_SSLCERT, c->cert_file)) &&
	       (c->key_file == NULL || set_text(e, CURLOPT_SSLKEY, c->key_file)) &&
	       /* A key with a passphrase must not ask for it on a terminal. */
	       set_text(e, CURLOPT_KEYPASSWD, "") &&
	       curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_WRITEDATA, c) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_XFERINFODATA, c) == CURLE_OK &&
	       set_long(e, CURLOPT_NOPROGRESS, 0L) &&
	       curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, c) == CURLE_OK;
}

/* False when memory is out. */
static bool
keep_path(char **own, const char *path)
{
	*own = path != NULL ? mem_dup_cstr(path) : NULL;
	return path == NULL || *own != NULL;
}

enum err
http_client_new(
	const struct http_client_options *options, struct http_client **out, struct errinfo *ei)
{
	*out = NULL;
	MUST(pthread_once(&once, start_library) == 0);
	if (!is_started)
		return ERR(ei, ERR_IO, "libcurl does not start");
	MUST(options->connect_timeout_ns > 0 && options->total_timeout_ns > 0);
	struct http_client *c = mem_zalloc(1, sizeof(*c));
	if (c == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	c->magic = CLIENT_MAGIC;
	c->options = *options;
	c->options.ca_file = NULL;
	c->options.cert_file = NULL;
	c->options.key_file = NULL;
	atomic_init(&c->is_stopped, false);
	bool has_paths = keep_path(&c->ca_file, options->ca_file) &&
			 keep_path(&c->cert_file, options->cert_file) &&
			 keep_path(&c->key_file, options->key_file);
	c->easy = curl_easy_init();
	if (c->easy == NULL || !has_paths || !set_up(c)) {
		http_client_free(&c);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	*out = c;
	return OK;
}

void
http_client_free(struct http_client **c)
{
	if (*c == NULL)
		return;
	OBJ_CHECK(*c, CLIENT_MAGIC);
	if ((*c)->easy != NULL)
		curl_easy_cleanup((*c)->easy);
	mem_free((*c)->ca_file);
	mem_free((*c)->cert_file);
	mem_free((*c)->key_file);
	(*c)->magic = 0;
	mem_free(*c);
	*c = NULL;
}

void
http_client_stop(struct http_client *c)
{
	OBJ_CHECK(c, CLIENT_MAGIC);
	atomic_store_explicit(&c->is_stopped, true, memory_order_relaxed);
}

/* NUL-terminated at *out, to be freed with mem_free. */
static enum err
copy_url(struct span url, char **out, struct errinfo *ei)
{
	*out = NULL;
	if (url.n == 0 || url.n > URL_MAX || memchr(url.p, '\0', url.n) != NULL)
		return ERR(ei, ERR_INVALID, "URL is empty, too long or holds a NUL");
	*out = mem_dup_span(url);
	return *out != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");
}

/* Stricter than libcurl, which takes one to three slashes. */
static bool
has_web_scheme(struct span url)
{
	static const struct span schemes[] = {{"http://", 7}, {"https://", 8}};

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t n = schemes[i].n;
		if (url.n > n && span_eq_nocase(span_of(url.p, n), schemes[i]) && url.p[n] != '/')
			return true;
	}
	return false;
}

enum err
http_client_check_url(struct span url, struct errinfo *ei)
{
	char *text = NULL;

	MUST(pthread_once(&once, start_library) == 0);
	enum err rc = copy_url(url, &text, ei);
	if (rc != OK)
		return rc;
	CURLU *u = curl_url();
	if (u == NULL)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	else if (!has_web_scheme(url))
		rc = ERR(ei, ERR_INVALID, "URL does not begin with http:// or https:// and a host");
	else if (curl_url_set(u, CURLUPART_URL, text, CURLU_DISALLOW_USER) != CURLUE_OK)
		rc = ERR(ei, ERR_INVALID, "not a URL, or one with a user name");
	curl_url_cleanup(u);
	mem_free(text);
	return rc;
}

/* NULL when memory is out or a header is illegal (*is_legal is false then). */
static struct curl_slist *
build_headers(const struct http_header *headers, size_t n, bool *is_legal)
{
	/* A line without a value takes away what libcurl would send of its own accord. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");
	bool has_type = false;
	struct buf line;

	*is_legal = true;
	buf_init(&line, HEADER_MAX);
	for (size_t i = 0; i < n && list != NULL; i++) {
		*is_legal = *is_legal && http_is_token(headers[i].name) &&
			    http_is_header_value(headers[i].value) && headers[i].value.n > 0;
		has_type = has_type || span_eq_nocase(headers[i].name, SPAN_LIT("Content-Type"));
		buf_reset(&line);
		buf_add_span(&line, headers[i].name);
		BUF_ADD_LIT(&line, ": ");
		buf_add_span(&line, headers[i].value);
		struct curl_slist *next =
			*is_legal && !buf_failed(&line) ? curl_slist_append(list, line.p) : NULL;
		if (next == NULL)
			curl_slist_free_all(list);
		list = next;
	}
	buf_fini(&line);
	if (list != NULL && !has_type) {
		struct curl_slist *next = curl_slist_append(list, "Content-Type:");
		if (next == NULL)
			curl_slist_free_all(list);
		list = next;
	}
	return list;
}

static enum err
explain(const struct http_client *c, CURLcode code, struct errinfo *ei)
{
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return ERR(ei, ERR_STOPPED, "stopped");
	if (code == CURLE_COULDNT_CONNECT && c->is_refused)
		return ERR(ei, ERR_FORBIDDEN, "the address is link-local or a metadata service");
	if (code == CURLE_OPERATION_TIMEDOUT)
		return ERR(ei, ERR_TIMEOUT, "no answer in time");
	if (code == CURLE_WRITE_ERROR)
		return ERR(ei, ERR_TOO_LARGE, "the answer is longer than %zu bytes",
			c->options.max_reply_bytes);
	if (code == CURLE_OUT_OF_MEMORY)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return ERR(ei, ERR_IO, "%s", curl_easy_strerror(code));
}

static bool
set_method(CURL *e, const struct http_call *call)
{
	struct span body = call->body;

	if (call->is_get)
		return set_long(e, CURLOPT_HTTPGET, 1L);
	return set_long(e, CURLOPT_POST, 1L) &&
	       curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_POSTFIELDS, body.n > 0 ? body.p : "") == CURLE_OK;
}

static enum err
perform(struct http_client *c, const char *url, struct curl_slist *list, struct http_call *call,
	struct errinfo *ei)
{
	CURL *e = c->easy;
	long code = 0;

	c->is_refused = false;
	c->n_reply = 0;
	c->reply = call->reply;
	c->is_unix = call->unix_path != NULL;
	bool is_set = set_text(e, CURLOPT_URL, url) && set_method(e, call) &&
		      set_text(e, CURLOPT_UNIX_SOCKET_PATH, call->unix_path) &&
		      curl_easy_setopt(e, CURLOPT_HTTPHEADER, list) == CURLE_OK;
	if (!is_set)
		return ERR(ei, ERR_NOMEM, "out of memory");
	CURLcode rc = curl_easy_perform(e);
	/* Nothing of the caller's is kept after the call. */
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(e, CURLOPT_POSTFIELDS, NULL);
	c->reply = NULL;
	if (rc != CURLE_OK)
		return explain(c, rc, ei);
	curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &code);
	call->status = (unsigned)code;
	curl_off_t retry_after_s = 0;
	curl_easy_getinfo(e, CURLINFO_RETRY_AFTER, &retry_after_s);
	call->retry_after_s = retry_after_s;
	return OK;
}

enum err
http_client_call(struct http_client *c, struct http_call *call, struct errinfo *ei)
{
	char *text = NULL;
	bool is_legal = true;

	OBJ_CHECK(c, CLIENT_MAGIC);
	call->status = 0;
	call->retry_after_s = 0;
	if (atomic_load_explicit(&c->is_stopped, memory_order_relaxed))
		return ERR(ei, ERR_STOPPED, "stopped");
	enum err rc = http_client_check_url(call->url, ei);
	if (rc == OK)
		rc = copy_url(call->url, &text, ei);
	if (rc != OK)
		return rc;
	struct curl_slist *list = build_headers(call->headers, call->n_headers, &is_legal);
	if (list != NULL)
		rc = perform(c, text, list, call, ei);
	else if (is_legal)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	else
		rc = ERR(ei, ERR_INVALID, "illegal header");
	curl_slist_free_all(list);
	mem_free(text);
	return rc;
}

enum err
http_client_post(struct http_client *c, struct span url, const struct http_header *headers,
	size_t n_headers, struct span body, unsigned *status, struct errinfo *ei)
{
	struct http_call call = {
		.url = url, .headers = headers, .n_headers = n_headers, .body = body};
	enum err rc = http_client_call(c, &call, ei);

	*status = call.status;
	return rc;
}
