/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Who may call a route, by the access column of its row. Worker's thread. */
#ifndef GATEWAY_ROUTE_ACCESS_H
#define GATEWAY_ROUTE_ACCESS_H

#include <stdbool.h>

#include "routes.h"

struct route;

/*
 * Whether the route is for whoever sent the request; fills in x->caller, x->identity and x->session. False: it was answered. Agents' routes let everybody pass:
 * the pipeline authenticates those.
 */
bool route_access_admit(const struct route *route, struct exchange *x);
/* The role that an access stands for; ROLE_NOBODY where it is no role that decides. */
enum role route_access_role(enum access access);

#endif
