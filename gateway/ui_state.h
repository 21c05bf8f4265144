/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* How the gateway is doing, as members of a JSON object. */
#ifndef GATEWAY_UI_STATE_H
#define GATEWAY_UI_STATE_H

struct buf;
struct worker;

/*
 * Appends the members of the overview that are in memory, without the braces around them: everything but "unknown". Cheap enough
 * for once a second and listener. Worker's thread.
 */
void ui_state_add_live(struct worker *w, struct buf *b);

#endif
