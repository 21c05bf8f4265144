/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Flags and dispatch of the command line. Help goes to stderr, as users of the reference tool know it. One thread. */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/span.h"

#define SUGGEST_DISTANCE 2

bool
command_has_colour(int fd)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (!isatty(fd) || (no_colour != NULL && no_colour[0] != '\0'))
		return false;
	return term == NULL || strcasecmp(term, "dumb") != 0;
}

int
command_fail(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error(NULL, "%s", text);
	return EXIT_FAILED;
}

static const char *
bold(bool on)
{
	return on ? "\033[1m" : "";
}

static const char *
plain(bool on)
{
	return on ? "\033[0m" : "";
}

static void
print_help(const struct command *self, const struct flag *flags, size_t n_flags)
{
	bool colour = command_has_colour(STDERR_FILENO);

	fprintf(stderr, "%s\n\n%susage:%s %s\n", self->summary, bold(colour), plain(colour),
		self->usage);
	if (n_flags > 0)
		fprintf(stderr, "\n%sflags:%s\n", bold(colour), plain(colour));
	for (size_t i = 0; i < n_flags; i++) {
		char left[96];
		snprintf(left, sizeof(left), "%s%s%s--%s%s%s",
			flags[i].short_name != NULL ? "-" : "",
			flags[i].short_name != NULL ? flags[i].short_name : "",
			flags[i].short_name != NULL ? ", " : "", flags[i].name,
			flags[i].placeholder != NULL ? " " : "",
			flags[i].placeholder != NULL ? flags[i].placeholder : "");
		fprintf(stderr, "  %-28s %s", left, flags[i].help);
		if (flags[i].env != NULL)
			fprintf(stderr, " (or %s)", flags[i].env);
		fprintf(stderr, "\n");
	}
	if (self->examples != NULL)
		fprintf(stderr, "\n%sexamples:%s\n%s", bold(colour), plain(colour), self->examples);
}

static void
print_group(const char *path, const struct command *commands, size_t n)
{
	bool colour = command_has_colour(STDERR_FILENO);

	fprintf(stderr, "%susage:%s %s COMMAND [flags]\n\n%scommands:%s\n", bold(colour),
		plain(colour), path, bold(colour), plain(colour));
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(stderr, "\n`%s COMMAND --help` has flags and examples.\n", path);
}

static bool
is_help(const char *arg)
{
	return strcmp(arg, "-h") == 0 || strcmp(arg, "-help") == 0 || strcmp(arg, "--help") == 0;
}

static const struct flag *
find_flag(const struct flag *flags, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++) {
		if (span_eq_cstr(name, flags[i].name) ||
			(flags[i].short_name != NULL && span_eq_cstr(name, flags[i].short_name)))
			return &flags[i];
	}
	return NULL;
}

static void
suggest(struct span wrong, const char *candidate, const char **best, unsigned *distance)
{
	unsigned d = parse_edit_distance(wrong, span_cstr(candidate), SUGGEST_DISTANCE);

	if (d < *distance) {
		*distance = d;
		*best = candidate;
	}
}

static enum flags_result
say_unknown_flag(const struct command *self, const struct flag *flags, size_t n, struct span name)
{
	const char *best = NULL;
	unsigned distance = SUGGEST_DISTANCE + 1;

	for (size_t i = 0; i < n; i++)
		suggest(name, flags[i].name, &best, &distance);
	if (best != NULL)
		log_error(NULL, "unknown flag --%.*s; did you mean --%s?", SPAN_ARG(name), best);
	else
		log_error(NULL, "unknown flag --%.*s", SPAN_ARG(name));
	print_help(self, flags, n);
	return FLAGS_WRONG;
}

/* One flag at argv[*i]; moves *i behind it. */
static enum flags_result
take_flag(const struct command *self, const struct flag *flags, size_t n, char **argv, int argc,
	int *i)
{
	const char *arg = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
	struct span name = span_cstr(arg);
	size_t eq = span_find(name, '=');
	const char *value = eq < name.n ? arg + eq + 1 : NULL;

	name.n = eq;
	const struct flag *f = find_flag(flags, n, name);
	if (f == NULL)
		return say_unknown_flag(self, flags, n, name);
	*i += 1;
	if (f->kind == FLAG_SWITCH) {
		bool on = true;
		if (value != NULL && !parse_bool(span_cstr(value), &on)) {
			log_error(NULL, "--%s takes true or false", f->name);
			return FLAGS_WRONG;
		}
		*(bool *)f->value = on;
		return FLAGS_OK;
	}
	if (value == NULL) {
		if (*i >= argc) {
			log_error(NULL, "--%s needs a value", f->name);
			print_help(self, flags, n);
			return FLAGS_WRONG;
		}
		value = argv[*i];
		*i += 1;
	}
	*(const char **)f->value = value;
	return FLAGS_OK;
}

static void
take_environment(const struct flag *flags, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = flags[i].env != NULL ? getenv(flags[i].env) : NULL;
		if (value != NULL && flags[i].kind == FLAG_TEXT &&
			*(const char **)flags[i].value == NULL && span_trim(span_cstr(value)).n > 0)
			*(const char **)flags[i].value = value;
	}
}

enum flags_result
flags_parse(const struct command *self, const struct flag *flags, size_t n_flags, int argc,
	char **argv, int max_rest, int *rest)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (is_help(argv[i])) {
			print_help(self, flags, n_flags);
			return FLAGS_HELP;
		}
		enum flags_result r = take_flag(self, flags, n_flags, argv, argc, &i);
		if (r != FLAGS_OK)
			return r;
	}
	*rest = i;
	if (argc - i > max_rest) {
		log_error(NULL, "unexpected argument \"%s\"", argv[i + max_rest]);
		print_help(self, flags, n_flags);
		return FLAGS_WRONG;
	}
	take_environment(flags, n_flags);
	return FLAGS_OK;
}

enum flags_result
flags_parse_with_argument(const struct command *self, const struct flag *flags, size_t n_flags,
	int argc, char **argv, const char **argument)
{
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, n_flags, argc, argv, argc, &rest);

	*argument = NULL;
	if (f != FLAGS_OK || rest >= argc)
		return f;
	*argument = argv[rest];
	argv[rest] = argv[0];
	return flags_parse(self, flags, n_flags, argc - rest, argv + rest, 0, &rest);
}

int
flags_exit(enum flags_result r)
{
	return r == FLAGS_HELP ? EXIT_DONE : EXIT_USAGE;
}

static int
say_unknown_command(const char *path, const struct command *commands, size_t n, const char *name)
{
	const char *best = NULL;
	unsigned distance = SUGGEST_DISTANCE + 1;

	for (size_t i = 0; i < n; i++)
		suggest(span_cstr(name), commands[i].name, &best, &distance);
	if (best != NULL)
		log_error(
			NULL, "unknown command \"%s\"; did you mean \"%s %s\"?", name, path, best);
	else
		log_error(NULL, "unknown command \"%s\"", name);
	print_group(path, commands, n);
	return EXIT_USAGE;
}

int
command_dispatch(const char *path, const struct command *commands, size_t n, int argc, char **argv)
{
	if (argc < 1) {
		print_group(path, commands, n);
		return EXIT_USAGE;
	}
	if (is_help(argv[0]) || strcmp(argv[0], "help") == 0) {
		print_group(path, commands, n);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < n; i++) {
		const struct command *c = &commands[i];
		if (strcmp(argv[0], c->name) != 0)
			continue;
		if (c->run != NULL)
			return c->run(c, argc, argv);
		char inner[128];
		snprintf(inner, sizeof(inner), "%s %s", path, c->name);
		return command_dispatch(
			inner, c->subcommands, c->n_subcommands, argc - 1, argv + 1);
	}
	return say_unknown_command(path, commands, n, argv[0]);
}
