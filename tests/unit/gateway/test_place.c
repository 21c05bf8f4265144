/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Who is served before whom: by route and credentials. */
#include "place.h"

#include <stdio.h>

#include "base/must.h"
#include "pipeline/options.h"
#include "pipeline/snapshot.h"
#include "support/signing.h"
#include "support/test.h"

#define SIGNATURE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char bundle[] =
	"{\"version\":\"v1\",\"rules\":[{\"id\":\"a\",\"action_type\":\"a.b\",\"resource\":"
	"\"a://b/**\",\"decision\":\"ALLOW\"}]}";
static struct snapshot *snapshot;

static void
start(bool has_services)
{
	char path[300];
	struct config_pair keys[] = {{SPAN_LIT("key-alice"), SPAN_LIT("alice")},
		{SPAN_LIT("key-bert"), SPAN_LIT("bert")}, {SPAN_LIT("key-olga"), SPAN_LIT("olga")}};
	struct config_pair agent = {SPAN_LIT("bot"), SPAN_LIT("bot-secret")};
	struct config_pair service = {SPAN_LIT("svc"), SPAN_LIT("svc-secret")};
	struct span olga = SPAN_LIT("olga");
	struct config_entry operators = {SPAN_LIT("operator"), {&olga, 1}};
	struct errinfo ei = {OK, ""};

	snprintf(path, sizeof(path), "%s/bundle.json", test_tmpdir());
	FILE *file = fopen(path, "wb");
	MUST(file != NULL && fputs(bundle, file) >= 0 && fclose(file) == 0);
	const struct pipeline_options options = {
		.gateway = {.concurrency_limit = 4, .rate_limit_per_minute = 1000},
		.policy = {.policy_bundle_path = span_cstr(path)},
		.executor = {.workspace_root = span_cstr(test_tmpdir()),
			.max_output_bytes = 4096,
			.max_output_lines = 200},
		.identity = {.principal = SPAN_LIT("alice"),
			.agent = SPAN_LIT("bot"),
			.environment = SPAN_LIT("dev"),
			SIGNING_DEFAULTS,
			.api_keys = {keys, ARRAY_LEN(keys)},
			.service_secrets = {&service, has_services ? 1 : 0},
			.agent_secrets = {&agent, 1},
			.roles = {&operators, 1}},
		.engine_version = SPAN_LIT("1.2.3"),
	};
	if (snapshot_new(&options, &snapshot, &ei) != OK)
		FAIL("%s", ei.msg);
}

static struct place_request
request(enum access access, const char *authorization)
{
	return (struct place_request){
		.access = access,
		.credentials = {.authorization = span_cstr(authorization),
			.agent_id = SPAN_LIT("bot"),
			.agent_signature = SPAN_LIT(SIGNATURE)},
		.peer = SPAN_LIT("10.0.0.1"),
	};
}

static struct http_place
find(enum access access, const char *authorization)
{
	struct place_request r = request(access, authorization);

	return place_of(snapshot, &r);
}

static void
stop(void)
{
	snapshot_unref(&snapshot);
}

TEST(health_and_operators_go_first)
{
	start(false);
	CHECK_INT(find(ACCESS_PUBLIC, "").rank, HTTP_RANK_FIRST);
	struct place_request r = request(ACCESS_OPERATOR, "Bearer key-olga");
	r.may_use = true;
	struct http_place place = place_of(snapshot, &r);
	CHECK_INT(place.rank, HTTP_RANK_FIRST);
	/* Neither can be in the way of the other. */
	CHECK(find(ACCESS_PUBLIC, "").flow % 64 != place.flow % 64);
	r.access = ACCESS_VIEWER;
	CHECK_INT(place_of(snapshot, &r).rank, HTTP_RANK_FIRST);
	stop();
}

TEST(who_may_not_use_a_route_does_not_go_first)
{
	start(false);
	CHECK_INT(find(ACCESS_OPERATOR, "Bearer key-alice").rank, HTTP_RANK_LAST);
	CHECK_INT(find(ACCESS_VIEWER, "").rank, HTTP_RANK_LAST);
	CHECK_INT(find(ACCESS_NOBODY, "Bearer key-olga").rank, HTTP_RANK_LAST);
	stop();
}

TEST(each_principal_is_a_flow)
{
	start(false);
	struct http_place alice = find(ACCESS_AGENT, "Bearer key-alice");
	struct http_place bert = find(ACCESS_AGENT, "Bearer key-bert");
	CHECK_INT(alice.rank, HTTP_RANK_USUAL);
	CHECK_INT(bert.rank, HTTP_RANK_USUAL);
	CHECK(alice.flow != bert.flow);
	/* Whatever agent and address it says. */
	struct place_request r = request(ACCESS_AGENT, "Bearer key-alice");
	r.credentials.agent_id = SPAN_LIT("another");
	r.peer = SPAN_LIT("10.0.0.2");
	CHECK(place_of(snapshot, &r).flow == alice.flow);
	stop();
}

TEST(who_is_unknown_comes_last)
{
	start(false);
	CHECK_INT(find(ACCESS_AGENT, "Bearer wrong").rank, HTTP_RANK_LAST);
	CHECK_INT(find(ACCESS_AGENT, "").rank, HTTP_RANK_LAST);
	/* Any key that is tried is of the same flow. */
	CHECK(find(ACCESS_AGENT, "Bearer wrong").flow == find(ACCESS_AGENT, "Bearer other").flow);
	stop();
}

/* Its signature cannot be looked at before its turn; names that are made up are one flow all the same. */
TEST(a_service_is_known_by_its_address_alone)
{
	struct place_request r = request(ACCESS_AGENT, "");

	start(true);
	r.credentials.service_id = SPAN_LIT("svc");
	r.credentials.service_signature = SPAN_LIT(SIGNATURE);
	struct http_place known = place_of(snapshot, &r);
	CHECK_INT(known.rank, HTTP_RANK_USUAL);
	r.credentials.service_id = SPAN_LIT("made up");
	CHECK(place_of(snapshot, &r).flow == known.flow);
	r.credentials.service_signature = SPAN_LIT("none");
	CHECK_INT(place_of(snapshot, &r).rank, HTTP_RANK_LAST);
	stop();
}

TEST(only_what_has_no_effect_goes_first_for_an_operator)
{
	struct place_request r = request(ACCESS_AGENT, "Bearer key-olga");

	start(false);
	CHECK_INT(place_of(snapshot, &r).rank, HTTP_RANK_USUAL);
	r.is_explain = true;
	CHECK_INT(place_of(snapshot, &r).rank, HTTP_RANK_FIRST);
	r.credentials.authorization = SPAN_LIT("Bearer key-alice");
	CHECK_INT(place_of(snapshot, &r).rank, HTTP_RANK_USUAL);
	stop();
}

SUITE("gateway/place", TEST_ROW(health_and_operators_go_first),
	TEST_ROW(who_may_not_use_a_route_does_not_go_first), TEST_ROW(each_principal_is_a_flow),
	TEST_ROW(who_is_unknown_comes_last), TEST_ROW(a_service_is_known_by_its_address_alone),
	TEST_ROW(only_what_has_no_effect_goes_first_for_an_operator))
