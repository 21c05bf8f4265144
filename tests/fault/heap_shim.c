/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A preloaded heap door for the tests of memory faults: it counts what every library of the program allocates, and fails
 * the chosen allocation, or all of them for a while. Tests steer it through a file that both map (struct control; heap.py has
 * the same layout). It sees the whole process, so also what has no hook: libyaml, libc, C++. Any thread.
 */
#define _GNU_SOURCE /* RTLD_NEXT, dl_iterate_phdr */

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	MODULES_MAX = 96,
	FRAMES_MAX = 24,
	TRACE_MAX = 1 << 18,
	TEXT_BYTES = 7168,
	BLOCK_MAGIC = 0x6e6f6d68
};

/* Who asked: by the module that the call came from. */
enum owner { OTHER, OWN, EVENT, CRYPTO, SQLITE, LIBC, YAML, CURL, PATTERNS, CJSON, OWNER__MAX };

static const struct {
	const char *name;
	enum owner owner;
} libraries[] = {
	{"libevent", EVENT},
	{"libcrypto", CRYPTO},
	{"libssl", CRYPTO},
	{"libsqlite3", SQLITE},
	{"libc.so", LIBC},
	{"ld-linux", LIBC},
	{"libyaml", YAML},
	{"libcurl", CURL},
	{"libhs", PATTERNS},
	{"libstdc++", PATTERNS},
	{"libcjson", CJSON},
};

static const char *const sanitizers[] = {"libasan", "liblsan", "libtsan", "libubsan"};

struct count {
	_Atomic uint64_t calls, live, live_bytes, peak_bytes;
};

struct control {
	_Atomic uint64_t attached;
	_Atomic uint64_t
		fail_in; /* allocations left until the one that fails, itself included; 0: off */
	_Atomic uint64_t fail_all;
	_Atomic uint64_t owners; /* bit per owner whose allocations may fail; 0: all */
	_Atomic uint64_t failed;
	_Atomic uint64_t live_bytes, peak_bytes;
	_Atomic uint64_t trace_on, traced;
	uint64_t unused[7];
	struct count by_owner[16];
	uint64_t unused_too[48];
	_Atomic char where[TEXT_BYTES]; /* the calls above the last one that failed */
	_Atomic uint64_t trace[TRACE_MAX];
};

_Static_assert(offsetof(struct control, by_owner) == 128, "heap.py");
_Static_assert(offsetof(struct control, where) == 1024, "heap.py");
_Static_assert(offsetof(struct control, trace) == 8192, "heap.py");

/* In front of every block. */
struct mark {
	uint32_t magic;
	uint8_t owner;
	uint8_t unused;
	uint16_t offset; /* from where the real block begins */
	uint64_t size;
};

_Static_assert(sizeof(struct mark) == 16, "keeps the alignment of malloc");

static struct {
	uintptr_t begin, end, base;
	enum owner owner;
	bool is_sanitizer;
	char name[32];
} modules[MODULES_MAX];
static size_t n_modules;
static bool has_sanitizer;
static struct control *control;
static _Thread_local bool is_inside __attribute__((tls_model("initial-exec")));

static void *(*real_memalign)(size_t, size_t);
static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static size_t (*real_size)(void *);
static char early[4096] __attribute__((aligned(16)));
static size_t early_used;

static void
find_real(void)
{
	real_memalign = dlsym(RTLD_NEXT, "memalign");
	real_calloc = dlsym(RTLD_NEXT, "calloc");
	real_realloc = dlsym(RTLD_NEXT, "realloc");
	real_free = dlsym(RTLD_NEXT, "free");
	real_size = dlsym(RTLD_NEXT, "malloc_usable_size");
	real_malloc = dlsym(RTLD_NEXT, "malloc");
}

static size_t
module_of(uintptr_t address)
{
	size_t i = 0;

	while (i < n_modules && (address < modules[i].begin || address >= modules[i].end))
		i++;
	return i;
}

static enum owner
owner_of(const void *caller)
{
	size_t i = module_of((uintptr_t)caller);

	return i < n_modules ? modules[i].owner : OTHER;
}

/*
 * The program hands memory to libraries too (mem_alloc_held); then it is theirs. Only the program is known to keep frame pointers, so
 * its caller is looked at only there. A macro: the frames are counted from the function that it stands in.
 */
#define OWNER()                                                                                    \
	(owner_of(__builtin_return_address(0)) != OWN ? owner_of(__builtin_return_address(0))      \
		: owner_of(__builtin_return_address(1)) != OWN                                     \
			? owner_above(__builtin_return_address(1))                                 \
			: owner_two_above(__builtin_return_address(2)))

static enum owner
owner_above(const void *caller)
{
	enum owner above = owner_of(caller);

	return above == EVENT || above == CRYPTO ? above : OWN;
}

/* OpenSSL goes through a function of ours that drops file and line; it calls nothing else of ours. */
static enum owner
owner_two_above(const void *caller)
{
	return owner_of(caller) == CRYPTO ? CRYPTO : OWN;
}

static int
add_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *slash = strrchr(info->dlpi_name, '/');
	const char *name = n_modules == 0 ? "program" : slash != NULL ? slash + 1 : info->dlpi_name;

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum && n_modules < MODULES_MAX; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0)
			continue;
		modules[n_modules].base = info->dlpi_addr;
		modules[n_modules].begin = info->dlpi_addr + part->p_vaddr;
		modules[n_modules].end = modules[n_modules].begin + part->p_memsz;
		modules[n_modules].owner = n_modules == 0 ? OWN : OTHER;
		snprintf(modules[n_modules].name, sizeof(modules[n_modules].name), "%s", name);
		for (size_t k = 0; k < sizeof(libraries) / sizeof(libraries[0]); k++) {
			if (strncmp(name, libraries[k].name, strlen(libraries[k].name)) == 0)
				modules[n_modules].owner = libraries[k].owner;
		}
		for (size_t k = 0; k < sizeof(sanitizers) / sizeof(sanitizers[0]); k++) {
			if (strncmp(name, sanitizers[k], strlen(sanitizers[k])) == 0)
				has_sanitizer = modules[n_modules].is_sanitizer = true;
		}
		n_modules++;
	}
	return 0;
}

__attribute__((constructor)) static void
attach(void)
{
	const char *path = getenv("NOMOS_HEAP_CONTROL");
	void *frames[2];

	if (path == NULL)
		return;
	is_inside = true;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *map = fd < 0 ? MAP_FAILED
			   : mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED,
				     fd, 0);
	if (map == MAP_FAILED)
		abort();
	close(fd);
	/* Children are programs of their own. */
	unsetenv("NOMOS_HEAP_CONTROL");
	unsetenv("LD_PRELOAD");
	dl_iterate_phdr(add_module, NULL);
	backtrace(frames, 2); /* loads the unwinder, which allocates */
	is_inside = false;
	control = map;
	atomic_store(&control->attached, 1);
}

static int
get_frames(uintptr_t *found)
{
	void *frames[FRAMES_MAX];
	is_inside = true;
	int n = backtrace(frames, FRAMES_MAX);
	is_inside = false;
	for (int i = 0; i < n; i++)
		found[i] = (uintptr_t)frames[i];
	return n;
}

static void
trace(void)
{
	uintptr_t frames[FRAMES_MAX];
	int n = get_frames(frames);
	uint64_t hash = 1469598103934665603u;

	for (int i = 0; i < n; i++) {
		size_t m = module_of(frames[i]);

		hash = (hash ^ (m < n_modules ? frames[i] - modules[m].base + m : 0)) *
		       1099511628211u;
	}
	uint64_t at = atomic_fetch_add(&control->traced, 1);
	if (at < TRACE_MAX)
		atomic_store(&control->trace[at], hash);
}

/*
 * Two threads may write at a time, and mix up a text that is only a hint. Atomically and without a call that a sanitizer looks
 * into: this file is not instrumented, so it would see the writes and nothing of what orders them.
 */
static void
say_where(void)
{
	uintptr_t frames[FRAMES_MAX];
	char line[96];
	int n = get_frames(frames);
	size_t used = 0;

	for (int i = 2; i < n; i++) {
		size_t m = module_of(frames[i]);

		if (m == n_modules || used >= TEXT_BYTES - sizeof(line))
			continue;
		snprintf(line, sizeof(line), "%s+0x%lx\n", modules[m].name,
			(unsigned long)(frames[i] - modules[m].base));
		for (size_t k = 0; line[k] != '\0'; k++)
			atomic_store(&control->where[used++], line[k]);
	}
	atomic_store(&control->where[used], '\0');
}

/* What a sanitizer asks for on its own account, as at the start of a thread: it ends the process when it gets nothing. */
static bool
is_for_sanitizer(void)
{
	uintptr_t frames[FRAMES_MAX];
	bool is_met = false;

	if (!has_sanitizer)
		return false;
	int n = get_frames(frames);
	for (int i = 2; i < n; i++) {
		size_t m = module_of(frames[i]);

		if (m < n_modules && modules[m].owner == OWN)
			return false;
		is_met = is_met || (m < n_modules && modules[m].is_sanitizer);
	}
	return is_met;
}

static bool
is_chosen(enum owner who)
{
	uint64_t mask = atomic_load(&control->owners);

	if (mask != 0 && (mask >> who & 1) == 0)
		return false;
	if (atomic_load(&control->trace_on) != 0)
		trace();
	if (atomic_load(&control->fail_all) != 0)
		return !is_for_sanitizer();
	uint64_t left = atomic_load(&control->fail_in);
	while (left > 0) {
		if (left == 1 && is_for_sanitizer())
			return false;
		if (atomic_compare_exchange_weak(&control->fail_in, &left, left - 1))
			return left == 1;
	}
	return false;
}

/* Counts the call; true when it has to fail. */
static bool
fails(enum owner who)
{
	if (control == NULL || is_inside)
		return false;
	atomic_fetch_add(&control->by_owner[who].calls, 1);
	if (!is_chosen(who))
		return false;
	if (atomic_fetch_add(&control->failed, 1) < 1 || atomic_load(&control->fail_all) == 0)
		say_where();
	errno = ENOMEM;
	return true;
}

static void
raise_to(_Atomic uint64_t *peak, uint64_t value)
{
	uint64_t old = atomic_load(peak);

	while (old < value && !atomic_compare_exchange_weak(peak, &old, value))
		;
}

static void *
enter(char *raw, size_t offset, size_t size, enum owner who)
{
	if (raw == NULL)
		return NULL;
	struct mark *m = (struct mark *)(void *)(raw + offset) - 1;
	*m = (struct mark){BLOCK_MAGIC, (uint8_t)who, 0, (uint16_t)offset, size};
	if (control != NULL) {
		struct count *c = &control->by_owner[who];

		atomic_fetch_add(&c->live, 1);
		raise_to(&c->peak_bytes, atomic_fetch_add(&c->live_bytes, size) + size);
		raise_to(&control->peak_bytes, atomic_fetch_add(&control->live_bytes, size) + size);
	}
	return raw + offset;
}

/* The mark of one of our blocks; NULL for one that the allocator gave out behind our back. */
static struct mark *
mark_of(void *p)
{
	struct mark *m = (struct mark *)p - 1;

	return m->magic == BLOCK_MAGIC ? m : NULL;
}

static void
leave(struct mark *m)
{
	m->magic = 0;
	if (control == NULL)
		return;
	atomic_fetch_sub(&control->by_owner[m->owner].live, 1);
	atomic_fetch_sub(&control->by_owner[m->owner].live_bytes, m->size);
	atomic_fetch_sub(&control->live_bytes, m->size);
}

static void *
take_early(size_t n)
{
	size_t at = early_used;

	n = (n + 15) & ~(size_t)15;
	if (n > sizeof(early) - at)
		abort();
	early_used += n;
	return early + at;
}

void *
malloc(size_t n)
{
	enum owner who = OWNER();

	if (real_malloc == NULL) {
		if (is_inside)
			return take_early(n);
		is_inside = true;
		find_real();
		is_inside = false;
	}
	if (n > SIZE_MAX - sizeof(struct mark) || fails(who))
		return NULL;
	return enter(real_malloc(n + sizeof(struct mark)), sizeof(struct mark), n, who);
}

void *
calloc(size_t n, size_t size)
{
	enum owner who = OWNER();

	if (real_malloc == NULL) {
		if (is_inside)
			return take_early(n * size);
		is_inside = true;
		find_real();
		is_inside = false;
	}
	if ((size > 0 && n > (SIZE_MAX - sizeof(struct mark)) / size) || fails(who))
		return NULL;
	return enter(
		real_calloc(1, n * size + sizeof(struct mark)), sizeof(struct mark), n * size, who);
}

void
free(void *p)
{
	if (p == NULL || ((char *)p >= early && (char *)p < early + sizeof(early)))
		return;
	int saved = errno;
	struct mark *m = mark_of(p);
	if (m != NULL) {
		size_t offset = m->offset;

		leave(m);
		real_free((char *)p - offset);
	} else {
		real_free(p);
	}
	errno = saved;
}

void *
realloc(void *p, size_t n)
{
	enum owner who = OWNER();
	struct mark *m = p != NULL && n > 0 ? mark_of(p) : NULL;
	void *bigger;

	if (p != NULL && n == 0) {
		free(p);
		return NULL;
	}
	if (p != NULL && m == NULL)
		return fails(who) ? NULL : real_realloc(p, n);
	if (real_malloc == NULL)
		return malloc(n);
	if (n > SIZE_MAX - sizeof(struct mark) || fails(who))
		return NULL;
	bigger = enter(real_malloc(n + sizeof(struct mark)), sizeof(struct mark), n, who);
	if (bigger != NULL && m != NULL) {
		memcpy(bigger, p, m->size < n ? m->size : n);
		free(p);
	}
	return bigger;
}

static void *
aligned(size_t align, size_t n, enum owner who)
{
	size_t offset = align > sizeof(struct mark) ? align : sizeof(struct mark);

	if (real_malloc == NULL)
		find_real();
	if (offset > UINT16_MAX || n > SIZE_MAX - offset || fails(who))
		return NULL;
	return enter(real_memalign(align, n + offset), offset, n, who);
}

void *
memalign(size_t align, size_t n)
{
	return aligned(align, n, OWNER());
}

void *
aligned_alloc(size_t align, size_t n)
{
	return aligned(align, n, OWNER());
}

int
posix_memalign(void **p, size_t align, size_t n)
{
	void *block = aligned(align, n, OWNER());

	if (block == NULL)
		return ENOMEM;
	*p = block;
	return 0;
}

size_t
malloc_usable_size(void *p)
{
	struct mark *m = p != NULL ? mark_of(p) : NULL;

	return m != NULL ? m->size : p != NULL ? real_size(p) : 0;
}
