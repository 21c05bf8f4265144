/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See measure.h: the process itself, what it may write, and whose credentials lie around it. */
#define _GNU_SOURCE /* faccessat with AT_EACCESS */

#include "measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/parse.h"

#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define PATH_BYTES 4200
/* Of the first process namespace, as the kernel has it since 3.8 (PROC_PID_INIT_INO). */
#define HOST_PROCESSES "pid:[4026531836]"

bool
measure_join(const char *root, const char *path, char *out, size_t size)
{
	int n = snprintf(out, size, "%s%s", root, path);

	return n > 0 && (size_t)n < size;
}

bool
measure_read(const char *root, const char *path, struct buf *out)
{
	char full[PATH_BYTES];

	buf_init(out, FILE_BYTES_MAX + 1);
	return measure_join(root, path, full, sizeof(full)) &&
	       fdio_read_file(full, FILE_BYTES_MAX, out, NULL) == OK;
}

bool
measure_next_line(struct span *rest, struct span *line)
{
	if (rest->n == 0)
		return false;
	size_t end = span_find(*rest, '\n');
	*line = span_of(rest->p, end);
	*rest = span_from(*rest, end < rest->n ? end + 1 : end);
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span
measure_next_word(struct span *rest)
{
	size_t n = 0;

	while (rest->n > 0 && is_blank(rest->p[0]))
		*rest = span_from(*rest, 1);
	while (n < rest->n && !is_blank(rest->p[n]))
		n++;
	struct span word = span_of(rest->p, n);
	*rest = span_from(*rest, n);
	return word;
}

static uint64_t
read_hex(struct span text)
{
	uint64_t v = 0;

	text = span_trim(text);
	for (size_t i = 0; i < text.n && i < 16; i++) {
		char c = text.p[i];
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return v;
}

static void
read_uids(struct span text, struct measured_host *out)
{
	bool has_root = false;

	for (int i = 0; i < 4; i++) {
		uint64_t uid = 0;
		bool is_read = parse_uint(measure_next_word(&text), UINT32_MAX, &uid);
		has_root = has_root || !is_read || uid == 0;
		if (i == 1)
			out->uid = uid;
	}
	if (has_root)
		out->uid = 0;
}

static void
read_status_line(struct span line, struct measured_host *out)
{
	size_t at = span_find(line, ':');
	struct span name = span_of(line.p, at);
	struct span value = at < line.n ? span_from(line, at + 1) : SPAN_NONE;

	if (span_eq_cstr(name, "Uid")) {
		out->has_status = true;
		read_uids(value, out);
	} else if (span_eq_cstr(name, "CapEff") || span_eq_cstr(name, "CapPrm") ||
		   span_eq_cstr(name, "CapAmb")) {
		out->capabilities |= read_hex(value);
	} else if (span_eq_cstr(name, "CapBnd")) {
		out->bounding = read_hex(value);
	} else if (span_eq_cstr(name, "NoNewPrivs")) {
		out->no_new_privileges =
			span_eq_cstr(span_trim(value), "1") ? MEASURED_YES : MEASURED_NO;
	} else if (span_eq_cstr(name, "Seccomp")) {
		value = span_trim(value);
		out->seccomp = value.n == 1 && value.p[0] <= '2' ? value.p[0] - '0' : -1;
	}
}

static void
read_status(const char *root, struct measured_host *out)
{
	struct buf text;
	struct span line;

	if (measure_read(root, "/proc/self/status", &text)) {
		struct span rest = buf_span(&text);
		while (measure_next_line(&rest, &line))
			read_status_line(line, out);
	}
	buf_fini(&text);
	/* Without /proc the kernel can be asked all the same. */
	if (out->no_new_privileges == MEASURED_NOT && root[0] == '\0')
		out->no_new_privileges =
			prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? MEASURED_YES : MEASURED_NO;
}

/* Lines of "inside outside count". */
static void
read_uid_map(const char *root, struct measured_host *out)
{
	struct buf text;
	struct span line;

	out->outside_uid = out->uid;
	if (measure_read(root, "/proc/self/uid_map", &text)) {
		struct span rest = buf_span(&text);
		while (measure_next_line(&rest, &line)) {
			uint64_t inside = 0;
			uint64_t outside = 0;
			uint64_t n = 0;
			if (!parse_uint(measure_next_word(&line), UINT32_MAX, &inside) ||
				!parse_uint(measure_next_word(&line), UINT32_MAX, &outside) ||
				!parse_uint(measure_next_word(&line), UINT32_MAX, &n))
				continue;
			out->has_user_namespace =
				out->has_user_namespace || outside != inside || n != UINT32_MAX;
			if (out->uid >= inside && out->uid - inside < n)
				out->outside_uid = outside + (out->uid - inside);
		}
	}
	buf_fini(&text);
}

static enum measured
has_own_processes(const char *root)
{
	char path[PATH_BYTES];
	char name[64];

	if (!measure_join(root, "/proc/self/ns/pid", path, sizeof(path)))
		return MEASURED_NOT;
	ssize_t n = readlink(path, name, sizeof(name));
	if (n <= 0 || (size_t)n >= sizeof(name))
		return MEASURED_NOT;
	return span_eq_cstr(span_of(name, (size_t)n), HOST_PROCESSES) ? MEASURED_NO : MEASURED_YES;
}

/* Whether a comma list has the word. */
static bool
has_option(struct span list, const char *word)
{
	while (list.n > 0) {
		size_t at = span_find(list, ',');
		if (span_eq_cstr(span_of(list.p, at), word))
			return true;
		list = span_from(list, at < list.n ? at + 1 : at);
	}
	return false;
}

static bool
is_below(struct span path, struct span folder)
{
	if (folder.n > 0 && folder.p[folder.n - 1] == '/')
		folder.n--;
	return span_starts(path, folder) && (path.n == folder.n || path.p[folder.n] == '/');
}

/* The kernel's own file systems, and what a container engine puts into every container. */
static bool
is_ordinary(struct span point, struct span type)
{
	static const char *const types[] = {"proc", "sysfs", "cgroup", "cgroup2", "devpts",
		"mqueue", "devtmpfs", "debugfs", "tracefs", "securityfs", "pstore", "bpf",
		"configfs", "fusectl", "hugetlbfs", "autofs", "binfmt_misc", "nsfs", "efivarfs",
		"rpc_pipefs", "selinuxfs"};
	static const char *const points[] = {"/dev", "/proc", "/sys", "/run", "/tmp", "/var/tmp",
		"/var/run", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (span_eq_cstr(type, types[i]))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		if (is_below(point, span_cstr(points[i])))
			return true;
	}
	return false;
}

static bool
is_own(struct span point, const struct span *own, size_t n_own)
{
	for (size_t i = 0; i < n_own; i++) {
		if (own[i].n > 0 && (is_below(own[i], point) || is_below(point, own[i])))
			return true;
	}
	return false;
}

/* Whoever answers for it may be gone, and then a look at it never ends. */
static bool
is_remote(struct span type)
{
	static const char *const types[] = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (span_eq_cstr(type, types[i]))
			return true;
	}
	return span_starts(type, SPAN_LIT("fuse"));
}

static bool
can_write(const char *root, struct span point)
{
	char name[MEASURE_PATH_MAX];
	char path[PATH_BYTES];

	snprintf(name, sizeof(name), "%.*s", SPAN_ARG(point));
	return measure_join(root, name, path, sizeof(path)) &&
	       faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

/* "36 35 98:0 /from /point rw,noatime master:1 - ext4 /dev/root rw": both lists of options have to say rw. */
static void
read_mount(const char *root, struct span line, const struct span *own, size_t n_own,
	struct measured_host *out)
{
	struct span word = SPAN_NONE;

	for (int i = 0; i < 4; i++)
		(void)measure_next_word(&line);
	struct span point = measure_next_word(&line);
	bool is_read_only = has_option(measure_next_word(&line), "ro");
	do {
		word = measure_next_word(&line);
	} while (word.n > 0 && !span_eq_cstr(word, "-"));
	struct span type = measure_next_word(&line);
	(void)measure_next_word(&line);
	is_read_only = is_read_only || has_option(measure_next_word(&line), "ro");
	if (point.n == 0)
		return;
	/* The last one lies on top. */
	if (span_eq_cstr(point, "/")) {
		out->has_read_only_root = is_read_only ? MEASURED_YES : MEASURED_NO;
		return;
	}
	if (is_read_only || is_ordinary(point, type) || is_own(point, own, n_own) ||
		(!is_remote(type) && !can_write(root, point)))
		return;
	if (out->n_writable++ == 0)
		snprintf(out->writable, sizeof(out->writable), "%.*s", SPAN_ARG(point));
}

static void
read_mounts(const char *root, const struct span *own, size_t n_own, struct measured_host *out)
{
	struct statvfs st;
	struct buf text;
	struct span line;

	out->has_mounts = measure_read(root, "/proc/self/mountinfo", &text);
	if (out->has_mounts) {
		struct span rest = buf_span(&text);
		while (measure_next_line(&rest, &line))
			read_mount(root, line, own, n_own, out);
	}
	buf_fini(&text);
	if (root[0] == '\0' && statvfs("/", &st) == 0)
		out->has_read_only_root = (st.f_flag & ST_RDONLY) != 0 ? MEASURED_YES : MEASURED_NO;
}

void
measure_host(const char *root, const struct span *own, size_t n_own, struct measured_host *out)
{
	*out = (struct measured_host){.seccomp = -1};
	read_status(root, out);
	if (!out->has_status && root[0] == '\0')
		out->uid = geteuid();
	read_uid_map(root, out);
	out->has_own_processes = has_own_processes(root);
	read_mounts(root, own, n_own, out);
	measure_network(root, out);
}

static bool
is_usable(const char *root, const char *folder, const char *path, char out[MEASURE_PATH_MAX])
{
	char full[PATH_BYTES];
	struct stat st;

	if (!measure_join(folder, path, out, MEASURE_PATH_MAX) ||
		!measure_join(root, out, full, sizeof(full)) || stat(full, &st) != 0)
		return false;
	/* A socket of an engine is used by writing to it. */
	return faccessat(AT_FDCWD, full, S_ISSOCK(st.st_mode) ? W_OK : R_OK, AT_EACCESS) == 0;
}

bool
measure_find_token(const char *root, char out[MEASURE_PATH_MAX])
{
	static const char *const files[] = {"/var/run/secrets/kubernetes.io/serviceaccount/token",
		"/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
		"/var/run/secrets/azure/tokens/azure-identity-token",
		"/var/run/secrets/tokens/gcp-ksa/token", "/var/run/docker.sock", "/run/docker.sock",
		"/run/containerd/containerd.sock", "/run/crio/crio.sock",
		"/run/podman/podman.sock"};
	static const char *const at_home[] = {"/.aws/credentials", "/.kube/config",
		"/.config/gcloud/application_default_credentials.json",
		"/.azure/msal_token_cache.json", "/.docker/config.json", "/.ssh/id_ed25519",
		"/.ssh/id_rsa", "/.git-credentials"};
	static const char *const variables[] = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AZURE_CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS", "GITHUB_TOKEN",
		"CI_JOB_TOKEN"};
	const char *home = getenv("HOME");

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (is_usable(root, "", files[i], out))
			return true;
	}
	for (size_t i = 0; home != NULL && home[0] == '/' && i < ARRAY_LEN(at_home); i++) {
		if (is_usable(root, strcmp(home, "/") == 0 ? "" : home, at_home[i], out))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		if (span_trim(span_cstr(getenv(variables[i]))).n == 0)
			continue;
		snprintf(out, MEASURE_PATH_MAX, "the variable %s", variables[i]);
		return true;
	}
	return false;
}
