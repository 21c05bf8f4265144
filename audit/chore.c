/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Threads for what may take its time. Starting and stopping: the thread that opens the ledger. */
#define _GNU_SOURCE /* gettid */

#include "chore.h"

#include <string.h>
#include <unistd.h>

#include <sys/resource.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/mem.h"
#include "base/must.h"

#define NICE 10

struct start {
	void *(*run)(void *);
	void *arg;
};

static void *
begin(void *arg)
{
	struct start start = *(struct start *)arg;

	mem_free(arg);
	/* On Linux the value is the thread's own. That it cannot be had is no reason not to work. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	return start.run(start.arg);
}

enum err
chore_start(struct chore *c, void *(*run)(void *), void *arg, const char *what, struct errinfo *ei)
{
	struct start *start = mem_zalloc(1, sizeof(*start));

	if (start == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	*start = (struct start){.run = run, .arg = arg};
	c->is_stopping = false;
	MUST(pthread_mutex_init(&c->mutex, NULL) == 0);
	cond_init(&c->wake);
	int rc = pthread_create(&c->thread, NULL, begin, start);
	if (rc == 0) {
		c->is_running = true;
		return OK;
	}
	mem_free(start);
	pthread_mutex_destroy(&c->mutex);
	pthread_cond_destroy(&c->wake);
	return ERR(ei, ERR_IO, "ledger: no thread for %s: %s", what, strerror(rc));
}

bool
chore_pause(struct chore *c, int64_t ns)
{
	int64_t until_ns = clock_mono_ns() + ns;
	bool is_in_time = true;

	MUST(pthread_mutex_lock(&c->mutex) == 0);
	while (!c->is_stopping && is_in_time)
		is_in_time = cond_wait_until(&c->wake, &c->mutex, until_ns);
	bool goes_on = !c->is_stopping;
	MUST(pthread_mutex_unlock(&c->mutex) == 0);
	return goes_on;
}

bool
chore_is_stopping(struct chore *c)
{
	MUST(pthread_mutex_lock(&c->mutex) == 0);
	bool is_stopping = c->is_stopping;
	MUST(pthread_mutex_unlock(&c->mutex) == 0);
	return is_stopping;
}

void
chore_stop(struct chore *c)
{
	if (!c->is_running)
		return;
	MUST(pthread_mutex_lock(&c->mutex) == 0);
	c->is_stopping = true;
	MUST(pthread_cond_signal(&c->wake) == 0);
	MUST(pthread_mutex_unlock(&c->mutex) == 0);
	MUST(pthread_join(c->thread, NULL) == 0);
	c->is_running = false;
	pthread_mutex_destroy(&c->mutex);
	pthread_cond_destroy(&c->wake);
}
