/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the files behind net/listener.h share. */
#ifndef NET_LISTENER_UNIX_H
#define NET_LISTENER_UNIX_H

#include "net/listener.h"

#define LISTENER_BACKLOG 1024

/* What a failed call of the system means for this address. */
MUSTCHECK enum err listener_error(const struct listener_addr *a, int error, struct errinfo *ei);
/* As listener_probe. */
MUSTCHECK enum err listener_probe_unix(const struct listener_addr *a, struct errinfo *ei);

#endif
