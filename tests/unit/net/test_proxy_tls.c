/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A PROXY header in clear before a TLS handshake, in any pieces; and what stands there instead of one. */
#include "rig_proxy.h"

#include "net/address_cap.h"
#include "proxy_header.h"

#define HELLO_MAX 4096

static struct rig rig;
static struct trusted_proxies trusted;

static void
prepare(const char *network)
{
	rig_want_proxy(&rig, &trusted, network);
	tls_keeper_free(&rig.tls);
	rig.tls = rig_make_keeper();
}

static void
start(const char *network)
{
	prepare(network);
	rig_start(&rig);
}

/* Without a handshake. */
static void
connect_raw(struct rig_client *c)
{
	struct rig in_clear = rig;

	in_clear.tls = NULL;
	rig_connect(&in_clear, c);
}

/* The header and the beginning of the handshake as one text; the handshake goes on by c->ssl. */
static size_t
write_hello(struct rig_client *c, struct span header, char out[HELLO_MAX])
{
	BIO *hello = BIO_new(BIO_s_mem());

	CHECK(fcntl(c->fd, F_SETFL, O_NONBLOCK) == 0);
	c->ssl = rig_tls_client(c->fd);
	SSL_set0_wbio(c->ssl, hello);
	CHECK(SSL_connect(c->ssl) < 0);
	if (header.n > 0)
		memcpy(out, header.p, header.n);
	int n = BIO_read(hello, out + header.n, (int)(HELLO_MAX - header.n));
	CHECK(n > 0);
	SSL_set0_wbio(c->ssl, BIO_new_socket(c->fd, BIO_NOCLOSE));
	return header.n + (size_t)n;
}

static void
end_shake(struct rig_client *c)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;
	int rc = 0;

	while (rc != 1 && clock_mono_ns() < end) {
		ERR_clear_error();
		rc = SSL_connect(c->ssl);
		if (rc != 1 && SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ)
			break;
		loop_turn(rig.loop, false);
	}
	CHECK_INT(rc, 1);
}

static void
check_get(struct rig_client *c, const char *want)
{
	rig_send_text(&rig, c, GET);
	rig_check_answer(&rig, c, want);
}

/* The first cut bytes, some turns, and the rest. */
static void
check_cut(struct span header, size_t cut, const char *want)
{
	struct rig_client c;
	char text[HELLO_MAX];

	connect_raw(&c);
	size_t n = write_hello(&c, header, text);
	cut = cut < n ? cut : n;
	CHECK_INT(send(c.fd, text, cut, 0), cut);
	for (int i = 0; i < 3; i++)
		rig_turn(&rig, NULL);
	CHECK_INT(send(c.fd, text + cut, n - cut, 0), n - cut);
	end_shake(&c);
	check_get(&c, want);
	check_get(&c, want);
	rig_close(&c);
}

TEST(the_header_names_the_client)
{
	start("127.0.0.0/8");
	/* Header and hello in one segment. */
	check_cut(SPAN_LIT(V1), SIZE_MAX, "192.0.2.7 by 127.0.0.1");
	check_cut(span_of(V2, sizeof(V2) - 1), SIZE_MAX, "192.0.2.9 by 127.0.0.1");
	check_cut(span_of(V2_LOCAL, sizeof(V2_LOCAL) - 1), SIZE_MAX, "127.0.0.1 by ");
	check_cut(SPAN_LIT("PROXY UNKNOWN\r\n"), SIZE_MAX, "127.0.0.1 by ");
	rig_stop(&rig);
}

TEST(cut_anywhere)
{
	start("127.0.0.1");
	for (size_t cut = 1; cut <= sizeof(V1) + 8; cut++)
		check_cut(SPAN_LIT(V1), cut, "192.0.2.7 by 127.0.0.1");
	for (size_t cut = 1; cut <= sizeof(V2) + 8; cut++)
		check_cut(span_of(V2, sizeof(V2) - 1), cut, "192.0.2.9 by 127.0.0.1");
	rig_stop(&rig);
}

TEST(byte_by_byte)
{
	struct rig_client c;
	char text[HELLO_MAX];

	start("127.0.0.1");
	connect_raw(&c);
	size_t n = write_hello(&c, SPAN_LIT(V1), text);
	for (size_t i = 0; i < n; i++) {
		CHECK_INT(send(c.fd, text + i, 1, 0), 1);
		rig_turn(&rig, NULL);
	}
	end_shake(&c);
	check_get(&c, "192.0.2.7 by 127.0.0.1");
	rig_close(&c);
	rig_stop(&rig);
}

/* As long as a header may be, and one byte longer. */
TEST(the_longest_header)
{
	char header[PROXY_HEADER_BYTES_MAX + 1];
	struct rig_client c;

	start("127.0.0.1");
	memset(header, 0, sizeof(header));
	memcpy(header, V2, sizeof(V2) - 1);
	for (size_t n = PROXY_HEADER_BYTES_MAX; n <= sizeof(header); n++) {
		size_t rest = n - 16;
		size_t in_tlv = rest - 12 - 3;
		header[14] = (char)(rest >> 8);
		header[15] = (char)(rest & 0xff);
		header[28] = '\x04';
		header[29] = (char)(in_tlv >> 8);
		header[30] = (char)(in_tlv & 0xff);
		connect_raw(&c);
		CHECK_INT(send(c.fd, header, n, 0), n);
		for (int i = 0; i < 3; i++)
			rig_turn(&rig, NULL);
		if (n == PROXY_HEADER_BYTES_MAX) {
			rig_shake(&rig, &c);
			check_get(&c, "192.0.2.9 by 127.0.0.1");
		} else {
			CHECK(rig_wait_eof(&rig, &c));
		}
		rig_close(&c);
	}
	rig_stop(&rig);
}

static void
check_closed(struct span bytes)
{
	struct rig_client c;

	connect_raw(&c);
	rig_check_refused(&rig, &c, bytes);
}

TEST(without_a_header_there_is_no_handshake)
{
	struct rig_client c;
	char hello[HELLO_MAX];

	start("127.0.0.1");
	connect_raw(&c);
	size_t n = write_hello(&c, SPAN_NONE, hello);
	rig_close(&c);
	check_closed(span_of(hello, n));
	check_closed(SPAN_LIT(GET));
	check_closed(SPAN_LIT("PROXY TCP4 192.0.2.7 192.0.2.1 51234\r\n"));
	CHECK(rig.ran.n == 0);
	rig_stop(&rig);
}

/* The second one is no handshake. */
TEST(one_header)
{
	struct rig_client c;
	int64_t before = metric_get(METRIC_TLS_FAILED);

	start("127.0.0.1");
	connect_raw(&c);
	rig_send_text(&rig, &c, V1 V1_OTHER);
	CHECK(rig_wait_eof(&rig, &c));
	CHECK_INT(metric_get(METRIC_TLS_FAILED), before + 1);
	rig_close(&c);
	rig_stop(&rig);
}

TEST(nobody_else_may_say_one)
{
	start("10.0.0.0/8");
	check_closed(SPAN_LIT(V1));
	check_closed(SPAN_LIT(GET));
	rig_stop(&rig);
}

/* A look whether the port is open is nobody's fault. */
TEST(half_a_header_and_gone)
{
	static const char header[] = V1;
	struct rig_client c;
	int64_t before = metric_get(METRIC_CONNECTIONS_REFUSED);

	start("127.0.0.1");
	for (size_t n = 0; n < sizeof(header); n += 7) {
		connect_raw(&c);
		rig_send(&rig, &c, span_of(header, n));
		rig_turn(&rig, NULL);
		CHECK(shutdown(c.fd, SHUT_WR) == 0);
		CHECK(rig_wait_eof(&rig, &c));
		CHECK_INT(c.in.n, 0);
		rig_close(&c);
	}
	CHECK_INT(metric_get(METRIC_CONNECTIONS_REFUSED), before);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

/* The header and the handshake have one each. */
TEST(deadlines)
{
	struct rig_client silent;
	struct rig_client half;
	struct rig_client later;

	prepare("127.0.0.1");
	rig.options.header_deadline_ns = 20 * NS_PER_MS;
	rig_start(&rig);
	connect_raw(&silent);
	connect_raw(&half);
	connect_raw(&later);
	rig_send_text(&rig, &half, "PROXY TCP4");
	rig_send_text(&rig, &later, V1 "\x16\x03\x01");
	CHECK(rig_wait_eof(&rig, &silent));
	CHECK(rig_wait_eof(&rig, &half));
	CHECK(rig_wait_eof(&rig, &later));
	CHECK(silent.in.n == 0 && half.in.n == 0 && later.in.n == 0);
	rig_close(&silent);
	rig_close(&half);
	rig_close(&later);
	rig_stop(&rig);
}

/* Over its share a client gets no handshake. */
TEST(the_cap_per_address_is_the_clients)
{
	struct address_cap *cap;
	struct rig_client clients[3];

	prepare("127.0.0.1");
	CHECK_INT(address_cap_new(1, trusted.v, trusted.n, &cap, NULL), OK);
	rig.options.address_cap = cap;
	rig_start(&rig);
	for (size_t i = 0; i < 3; i++) {
		connect_raw(&clients[i]);
		rig_send_text(&rig, &clients[i], i < 2 ? V1 : V1_OTHER);
		if (i == 1)
			CHECK(rig_wait_eof(&rig, &clients[i]));
		else
			rig_shake(&rig, &clients[i]);
	}
	check_get(&clients[0], "192.0.2.7 by 127.0.0.1");
	check_get(&clients[2], "192.0.2.8 by 127.0.0.1");
	for (size_t i = 0; i < 3; i++)
		rig_close(&clients[i]);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
	address_cap_free(&cap);
}

/* One in its header does not hold up the end. */
TEST(the_end_closes_the_silent)
{
	struct rig_client silent;
	struct rig_client half;

	start("127.0.0.1");
	connect_raw(&silent);
	connect_raw(&half);
	rig_send_text(&rig, &half, "PROXY TCP4");
	CHECK(rig_wait_connections(&rig, 2));
	http_server_stop_accepting(rig.server);
	CHECK(rig_wait_idle_closed(&rig, &silent));
	CHECK(rig_wait_idle_closed(&rig, &half));
	rig_close(&silent);
	rig_close(&half);
	rig_stop(&rig);
}

SUITE("proxy_tls", TEST_ROW(the_header_names_the_client), TEST_ROW(cut_anywhere),
	TEST_ROW(byte_by_byte), TEST_ROW(the_longest_header),
	TEST_ROW(without_a_header_there_is_no_handshake), TEST_ROW(one_header),
	TEST_ROW(nobody_else_may_say_one), TEST_ROW(half_a_header_and_gone), TEST_ROW(deadlines),
	TEST_ROW(the_cap_per_address_is_the_clients), TEST_ROW(the_end_closes_the_silent))
