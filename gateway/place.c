/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Health and readiness go first, and so does whoever may use an operators' route: operators end an overload. Agents
 * come next, each principal a flow of its own, so that one with many connections does not starve the others; their actions never go
 * first, whoever asks. Those whom nobody knows come last, so that no flood without a credential is in anybody's way. Any thread.
 */
#include "place.h"

#include "base/map.h"

/* Whether somebody that it shows to be has the role; *flow is of that principal. */
static bool
has_role(const struct snapshot *s, const struct place_request *r, enum role role, uint64_t *flow)
{
	struct caller caller;
	bool has = req_authorize_operator(s, &r->credentials, role, &caller) == OK;

	if (has)
		*flow = map_hash(caller.principal);
	caller_drop(&caller);
	return has;
}

static struct http_place
place_agent(const struct snapshot *s, const struct place_request *r, struct http_place last)
{
	struct http_place place = last;

	if (has_role(s, r, ROLE_ANYONE, &place.flow))
		place.rank = HTTP_RANK_USUAL;
	/* Only the body tells which service it is: by its address, since a name can be anybody's. */
	else if (req_may_be_known(s, &r->credentials))
		place.rank = HTTP_RANK_USUAL;
	if (r->is_explain && has_role(s, r, ROLE_OPERATOR, &place.flow))
		place.rank = HTTP_RANK_FIRST;
	return place;
}

static struct http_place
place_reader(const struct snapshot *s, const struct place_request *r, struct http_place last)
{
	struct http_place place = last;

	if (has_role(s, r, ROLE_ANYONE, &place.flow))
		place.rank = HTTP_RANK_USUAL;
	return place;
}

/* Who may approve is not held up by those who ask. */
static struct http_place
place_principal(const struct snapshot *s, const struct place_request *r, struct http_place last)
{
	struct http_place place = last;

	if (!has_role(s, r, ROLE_APPROVER, &place.flow))
		return place_reader(s, r, last);
	place.rank = HTTP_RANK_FIRST;
	return place;
}

struct http_place
place_of(const struct snapshot *s, const struct place_request *r)
{
	struct http_place last = {HTTP_RANK_LAST, map_hash(r->peer)};

	switch (r->access) {
	case ACCESS_NOBODY:
		return last;
	case ACCESS_PUBLIC:
		return (struct http_place){HTTP_RANK_FIRST, map_hash(r->peer)};
	case ACCESS_AGENT:
		return place_agent(s, r, last);
	case ACCESS_READER:
		return place_reader(s, r, last);
	case ACCESS_PRINCIPAL:
		return place_principal(s, r, last);
	/* Their tokens are not looked at yet. */
	case ACCESS_WEBHOOK:
	case ACCESS_SLACK:
	case ACCESS_TEAMS:
		return last;
	case ACCESS_VIEWER:
	case ACCESS_APPROVER:
	case ACCESS_OPERATOR:
		/* Not in the flow of health, which anybody can flood. */
		return r->may_use ? (struct http_place){HTTP_RANK_FIRST, last.flow + 1} : last;
	}
	return last;
}
