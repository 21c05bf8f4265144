/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles of operators (decisions 26). Without any configured role every principal may view and nobody approves or operates.
 * Any loop.
 */
#include "identity/identity_rows.h"

static bool
is_listed(const struct identity_table *t, struct span principal, enum role role)
{
	return name_list_has(&t->roles[role], principal) ||
	       (role == ROLE_APPROVER && name_list_has(&t->approvers, principal));
}

enum role
identity_role_parse(struct span name)
{
	if (span_eq_cstr(name, "viewer"))
		return ROLE_VIEWER;
	if (span_eq_cstr(name, "approver"))
		return ROLE_APPROVER;
	if (span_eq_cstr(name, "operator"))
		return ROLE_OPERATOR;
	return ROLE_NOBODY;
}

unsigned
identity_get_roles(const struct identity_table *t, struct span principal)
{
	unsigned roles = 0;

	for (enum role role = ROLE_ANYONE; role <= ROLE_OPERATOR; role++)
		if (identity_has_role(t, principal, role))
			roles |= 1u << role;
	return roles;
}

static bool
is_any_among(const struct name_list *list, const struct span *groups, size_t n_groups)
{
	for (size_t i = 0; i < n_groups; i++)
		if (name_list_has(list, groups[i]))
			return true;
	return false;
}

unsigned
identity_get_group_roles(const struct identity_table *t, const struct span *groups, size_t n_groups)
{
	unsigned roles = 0;

	for (enum role role = ROLE_VIEWER; role <= ROLE_OPERATOR; role++)
		if (is_any_among(&t->group_roles[role], groups, n_groups))
			roles |= 1u << role;
	/* Operators and approvers may view. */
	return roles != 0 ? roles | 1u << ROLE_VIEWER : 0;
}

bool
caller_has_role(const struct caller *caller, enum role role)
{
	return role != ROLE_NOBODY && (caller->roles >> role & 1u) != 0;
}

bool
identity_has_role(const struct identity_table *t, struct span principal, enum role role)
{
	if (principal.n == 0)
		return false;
	switch (role) {
	case ROLE_NOBODY:
		return false;
	case ROLE_ANYONE:
		return true;
	case ROLE_VIEWER:
		return !t->has_roles || is_listed(t, principal, ROLE_VIEWER) ||
		       is_listed(t, principal, ROLE_APPROVER) ||
		       is_listed(t, principal, ROLE_OPERATOR);
	case ROLE_APPROVER:
		return is_listed(t, principal, ROLE_APPROVER);
	case ROLE_OPERATOR:
		return is_listed(t, principal, ROLE_OPERATOR);
	}
	return false;
}
