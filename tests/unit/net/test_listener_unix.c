/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Unix sockets: their file and its bits, who listens there already, what may be removed, and who has connected. */
#include "rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "net/peer.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

static struct rig rig;
static const struct listener_access anybody = {0600, LISTENER_ANY_USER, LISTENER_ANY_GROUP};

/* In a fresh folder. */
static struct listener_addr
make_addr(const char *name)
{
	char text[LISTENER_TEXT_MAX];
	struct listener_addr a;

	snprintf(text, sizeof(text), "unix:%s/%s", test_tmpdir(), name);
	CHECK_INT(listener_parse(span_cstr(text), &a, NULL), OK);
	return a;
}

static int
open_file(const struct listener_addr *a, mode_t mode, struct listener_file *file)
{
	const struct listener_access access = {mode, LISTENER_ANY_USER, LISTENER_ANY_GROUP};
	struct errinfo ei = {0};
	int fd = -1;

	if (listener_open_unix(a, &access, file, &fd, &ei) != OK)
		FAIL("%s", ei.msg);
	return fd;
}

static int
connect_to(const struct listener_addr *a)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(sa.sun_path, a->path, sizeof(sa.sun_path));
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	return fd;
}

TEST(addresses)
{
	struct listener_addr a;
	char out[LISTENER_TEXT_MAX];
	char longest[LISTENER_TEXT_MAX] = "unix:/";

	CHECK_INT(listener_parse(SPAN_LIT("unix:/run/nomos.sock"), &a, NULL), OK);
	CHECK_INT(a.kind, LISTENER_UNIX);
	CHECK(listener_is_loopback(&a));
	listener_format(&a, out);
	CHECK_STR(out, "unix:/run/nomos.sock");
	CHECK_INT(listener_parse(SPAN_LIT("systemd"), &a, NULL), OK);
	CHECK(a.kind == LISTENER_INHERITED && a.path[0] == '\0' && !listener_is_loopback(&a));
	CHECK_INT(listener_parse(SPAN_LIT("systemd:api"), &a, NULL), OK);
	CHECK_STR(a.path, "api");
	listener_format(&a, out);
	CHECK_STR(out, "systemd:api");
	while (strlen(longest) < 5 + LISTENER_PATH_MAX - 1)
		strcat(longest, "x");
	CHECK_INT(listener_parse(span_cstr(longest), &a, NULL), OK);
	listener_format(&a, out);
	CHECK_STR(out, longest);
	strcat(longest, "x");
	CHECK_INT(listener_parse(span_cstr(longest), &a, NULL), ERR_PARSE);
	static const char *const bad[] = {
		"unix:", "unix:/", "unix:relative", "unix", "systemd:", "UNIX:/x"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (listener_parse(span_cstr(bad[i]), &a, NULL) != ERR_PARSE)
			FAIL("\"%s\" parses", bad[i]);
	}
	CHECK_INT(listener_parse(span_of("unix:/a\0b", 9), &a, NULL), ERR_PARSE);
}

static void
check_mode(mode_t mode, mode_t umask_bits)
{
	struct listener_addr a = make_addr("m.sock");
	struct listener_file file;
	struct stat st;
	mode_t before = umask(umask_bits);
	int fd = open_file(&a, mode, &file);

	umask(before);
	CHECK(lstat(a.path, &st) == 0 && S_ISSOCK(st.st_mode));
	CHECK_INT(st.st_mode & 07777, mode);
	close(fd);
	listener_remove_unix(&a, &file);
	CHECK(lstat(a.path, &st) != 0);
}

/* Neither more nor less, whatever the umask. */
TEST(modes)
{
	check_mode(0600, 0);
	check_mode(0600, 077);
	check_mode(0660, 077);
	check_mode(0666, 022);
}

TEST(an_owner_and_a_group)
{
	struct listener_addr a = make_addr("g.sock");
	struct listener_file file;
	struct stat st;
	int fd = -1;

	const struct listener_access access = {0660, getuid(), getgid()};
	CHECK_INT(listener_open_unix(&a, &access, &file, &fd, NULL), OK);
	CHECK(lstat(a.path, &st) == 0);
	CHECK_INT(st.st_uid, getuid());
	CHECK_INT(st.st_gid, getgid());
	CHECK_INT(st.st_mode & 07777, 0660);
	close(fd);
	listener_remove_unix(&a, &file);
}

TEST(who_listens_is_told)
{
	struct listener_addr a = make_addr("b.sock");
	struct listener_file file;
	struct listener_file other;
	struct stat st;
	int fd = open_file(&a, 0600, &file);
	int second = -1;

	CHECK_INT(listener_probe(&a, NULL), ERR_BUSY);
	CHECK_INT(listener_open_unix(&a, &anybody, &other, &second, NULL), ERR_BUSY);
	CHECK_INT(second, -1);
	/* What was refused has removed nothing. */
	listener_remove_unix(&a, &other);
	CHECK(lstat(a.path, &st) == 0);
	close(fd);
	/* One that was left behind gives way; the probe leaves it. */
	CHECK_INT(listener_probe(&a, NULL), OK);
	CHECK(lstat(a.path, &st) == 0);
	second = open_file(&a, 0600, &other);
	close(second);
	listener_remove_unix(&a, &other);
	CHECK(lstat(a.path, &st) != 0);
}

TEST(only_our_own_is_removed)
{
	struct listener_addr a = make_addr("o.sock");
	struct listener_addr moved = make_addr("moved.sock");
	struct listener_file file;
	struct listener_file other;
	struct stat st;
	int fd = open_file(&a, 0600, &file);

	CHECK(rename(a.path, moved.path) == 0);
	int second = open_file(&a, 0600, &other);
	listener_remove_unix(&a, &file);
	CHECK(lstat(a.path, &st) == 0);
	listener_remove_unix(&a, &other);
	CHECK(lstat(a.path, &st) != 0);
	close(fd);
	close(second);
}

/* A file, a folder, links to a file and to a stale socket: all stay. */
TEST(nothing_else_is_removed)
{
	static const char *const names[] = {"file", "folder", "link", "link.sock"};
	struct listener_addr stale = make_addr("stale.sock");
	struct listener_file file;
	struct stat st;
	char target[LISTENER_PATH_MAX];

	close(open_file(&stale, 0600, &file));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct listener_addr a = make_addr(names[i]);
		int fd = -1;
		if (i == 0)
			close(open(a.path, O_CREAT | O_WRONLY, 0600));
		else if (i == 1)
			CHECK(mkdir(a.path, 0700) == 0);
		else {
			snprintf(target, sizeof(target), "%s", i == 2 ? "file" : stale.path);
			CHECK(symlink(target, a.path) == 0);
		}
		CHECK_INT(listener_probe(&a, NULL), ERR_CONFLICT);
		CHECK_INT(listener_open_unix(&a, &anybody, &file, &fd, NULL), ERR_CONFLICT);
		CHECK(lstat(a.path, &st) == 0);
	}
	CHECK(lstat(stale.path, &st) == 0);
}

TEST(no_folder)
{
	struct listener_addr a = make_addr("nowhere/x.sock");
	struct listener_file file;
	int fd = -1;

	CHECK_INT(listener_probe(&a, NULL), ERR_IO);
	CHECK_INT(listener_open_unix(&a, &anybody, &file, &fd, NULL), ERR_IO);
}

/* Two that start at once take turns; nobody who only holds the lock stops one. */
TEST(the_folder_is_locked_meanwhile)
{
	struct listener_addr a = make_addr("l.sock");
	struct listener_file file;
	char folder[LISTENER_PATH_MAX];

	memcpy(folder, a.path, sizeof(folder));
	*strrchr(folder, '/') = '\0';
	int lock = open(folder, O_RDONLY | O_DIRECTORY);
	CHECK(flock(lock, LOCK_EX) == 0);
	close(open_file(&a, 0600, &file));
	close(lock);
	close(open_file(&a, 0600, &file));
	/* It is let go again. */
	lock = open(folder, O_RDONLY | O_DIRECTORY);
	CHECK(flock(lock, LOCK_EX | LOCK_NB) == 0);
	close(lock);
	listener_remove_unix(&a, &file);
}

#define RIVALS 8

struct rival {
	struct listener_addr addr;
	struct listener_file file;
	pthread_barrier_t *start;
	int fd;
	enum err rc;
};

static void *
open_at_once(void *arg)
{
	struct rival *r = arg;

	(void)pthread_barrier_wait(r->start);
	r->rc = listener_open_unix(&r->addr, &anybody, &r->file, &r->fd, NULL);
	return NULL;
}

/* All find the same file left behind. One gets it and is reached there, the others are told. */
TEST(one_of_many_at_once)
{
	struct rival rivals[RIVALS];
	pthread_t threads[RIVALS];
	pthread_barrier_t start;
	struct listener_file file;
	struct stat st;

	for (int round = 0; round < 20; round++) {
		size_t n_won = 0;
		struct listener_addr a = make_addr("race.sock");
		close(open_file(&a, 0600, &file));
		CHECK(pthread_barrier_init(&start, NULL, RIVALS) == 0);
		for (size_t i = 0; i < RIVALS; i++) {
			rivals[i] = (struct rival){.addr = a, .start = &start, .fd = -1};
			CHECK(pthread_create(&threads[i], NULL, open_at_once, &rivals[i]) == 0);
		}
		for (size_t i = 0; i < RIVALS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		for (size_t i = 0; i < RIVALS; i++) {
			n_won += rivals[i].rc == OK;
			CHECK((rivals[i].rc == OK) == (rivals[i].fd >= 0));
			CHECK(rivals[i].rc == OK || rivals[i].rc == ERR_BUSY);
			if (rivals[i].rc != OK)
				continue;
			int client = connect_to(&a);
			int server = accept(rivals[i].fd, NULL, NULL);
			CHECK(server >= 0);
			close(client);
			close(server);
		}
		CHECK_INT(n_won, 1);
		for (size_t i = 0; i < RIVALS; i++) {
			if (rivals[i].fd >= 0)
				close(rivals[i].fd);
			listener_remove_unix(&a, &rivals[i].file);
		}
		CHECK(lstat(a.path, &st) != 0);
		pthread_barrier_destroy(&start);
	}
}

static void
say_process(struct http_request *req, void *arg)
{
	const struct net_peer *peer = http_request_view_peer(req);

	(void)arg;
	CHECK_INT(peer->kind, PEER_UNIX);
	CHECK(peer->has_process && peer->address.n == 0 && !peer->is_tls);
	CHECK_INT(peer->uid, getuid());
	CHECK_INT(peer->gid, getgid());
	CHECK_INT(peer->pid, getpid());
	CHECK_STR(http_request_get_peer(req), "");
	http_request_reply(req, 200, NULL, 0, SPAN_NONE);
}

/* SO_PEERCRED of who has connected; it has no address. */
TEST(the_peer_is_a_process)
{
	struct listener_addr a = make_addr("p.sock");
	struct listener_file file;
	struct rig_client c = {0};
	struct rig_reply reply;
	struct errinfo ei;

	rig_options(&rig);
	rig.handler = say_process;
	rig_start(&rig);
	int fd = open_file(&a, 0600, &file);
	CHECK_INT(http_server_listen(rig.server, dup(fd), NULL, &ei), OK);
	close(fd);
	buf_init(&c.in, RIG_REPLY_MAX);
	c.fd = connect_to(&a);
	rig_send_text(&rig, &c, GET);
	CHECK(rig_wait_reply(&rig, &c, false, &reply));
	CHECK_INT(reply.status, 200);
	rig_close(&c);
	rig_stop(&rig);
	listener_remove_unix(&a, &file);
}

SUITE("listener_unix", TEST_ROW(addresses), TEST_ROW(modes), TEST_ROW(an_owner_and_a_group),
	TEST_ROW(who_listens_is_told), TEST_ROW(only_our_own_is_removed),
	TEST_ROW(nothing_else_is_removed), TEST_ROW(no_folder),
	TEST_ROW(the_folder_is_locked_meanwhile), TEST_ROW(one_of_many_at_once),
	TEST_ROW(the_peer_is_a_process))
