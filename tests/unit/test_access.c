/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access: names, networks, and who is let in where.
 */
#include "blockcore/base/err.h"
#include "target/volume/access.h"
#include "tests/lib/tables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct tables_host hosts[] = {
	{.name = "any", .iqns = "*"},
	{.name = "lab", .iqns = "iqn.2001-04.com.example:lab*"},
	{.name = "lab-7", .iqns = "iqn.2001-04.com.example:lab-7*"},
	{.name = "lab-near",
		.iqns = "iqn.2001-04.com.example:lab*",
		.networks = "203.0.113.0/24"},
	{.name = "web1",
		.iqns = "iqn.2001-04.com.example:web1",
		.networks = "192.0.2.0/24 2001:db8::/32"},
	{.name = "web1-near",
		.iqns = "iqn.2001-04.com.example:web1",
		.networks = "192.0.2.128/25"},
	{.name = "two",
		.iqns = "eui.02004567a425678d iqn.2001-04.com.example:two"},
	{.name = NULL},
};
static const struct tables_portal portals[] = {
	{.name = "main", .address = "192.0.2.1", .port = 3260, .group = 1},
	{.name = "back", .address = "198.51.100.1", .port = 3260, .group = 2},
	{.name = NULL},
};
static const struct tables_target targets[] = {
	{.iqn = "iqn.2026-11.example.cairn:a",
		.hosts = "web1 lab",
		.more_hosts = "web1"},
	{.iqn = "iqn.2026-11.example.cairn:b",
		.hosts = "any",
		.portals = "back"},
	{.iqn = "iqn.2026-11.example.cairn:c", .hosts = ""},
	{.iqn = NULL},
};

static int setup(void **state)
{
	*state = tables_build(hosts, portals, targets);
	return 0;
}

static int teardown(void **state)
{
	access_put(*state);
	return 0;
}

static struct sockaddr *address(const char *text)
{
	static struct sockaddr_storage storage[4];
	static unsigned turn;
	struct sockaddr_storage *s = &storage[turn++ % 4];
	struct sockaddr_in *in = (void *)s;
	struct sockaddr_in6 *in6 = (void *)s;

	memset(s, 0, sizeof *s);
	s->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(
		inet_pton(s->ss_family, text,
			s->ss_family == AF_INET ? (void *)&in->sin_addr
						: (void *)&in6->sin6_addr),
		1);
	return (struct sockaddr *)s;
}

static const char *found(void **state, const char *iqn, const char *peer)
{
	const struct access_host *host =
		access_find_host(*state, iqn, address(peer));

	return host ? host->name : "nobody";
}

static void test_most_particular_host_wins(void **state)
{
	assert_string_equal(
		found(state, "iqn.1993-08.org.debian:01:1", "203.0.113.9"),
		"any");
	assert_string_equal(
		found(state, "iqn.2001-04.com.example:lab-3", "192.0.2.9"),
		"lab");
	assert_string_equal(
		found(state, "iqn.2001-04.com.example:lab-3", "203.0.113.9"),
		"lab-near");
	/* the name goes before the network */
	assert_string_equal(
		found(state, "iqn.2001-04.com.example:lab-7x", "203.0.113.9"),
		"lab-7");
	assert_string_equal(
		found(state, "iqn.2001-04.com.example:web1", "192.0.2.9"),
		"web1");
	assert_string_equal(
		found(state, "iqn.2001-04.com.example:web1", "192.0.2.129"),
		"web1-near");
	assert_string_equal(found(state, "eui.02004567a425678d", "::1"), "two");
}

static void test_all_conditions_are_required(void **state)
{
	/* the right name from elsewhere falls back to the entry for all */
	assert_string_equal(
		found(state, "iqn.2001-04.com.example:web1", "203.0.113.9"),
		"any");
	/* ... and to nobody where that entry is not named */
	assert_null(access_find_host_for(*state,
		access_find_target(*state, targets[0].iqn),
		"iqn.2001-04.com.example:web1", address("203.0.113.9")));
	assert_string_equal(found(state, "iqn.2001-04.com.example:web1",
				    "2001:db8:ffff::1"),
		"web1");
	assert_string_equal(
		found(state, "iqn.2001-04.com.example:web1", "2001:db9::1"),
		"any");
	/* IPv4 in an IPv6 socket is IPv4 */
	assert_string_equal(found(state, "iqn.2001-04.com.example:web1",
				    "::ffff:192.0.2.9"),
		"web1");
}

static void test_socket_without_address_fits_no_network(void **state)
{
	struct sockaddr local = {.sa_family = AF_UNIX};

	assert_string_equal(
		access_find_host(*state, "iqn.2001-04.com.example:web1", &local)
			->name,
		"any");
}

static void test_targets_and_luns(void **state)
{
	struct access_table *table = *state;
	const struct access_target *a =
		access_find_target(table, targets[0].iqn);
	const struct access_target *b =
		access_find_target(table, targets[1].iqn);
	const struct access_target *c =
		access_find_target(table, targets[2].iqn);
	const struct access_host *web1 = table->host[4];
	const struct access_host *lab = table->host[1];

	assert_null(access_find_target(table, "iqn.2026-11.example.cairn:d"));
	assert_true(access_allows(a, web1) && access_allows(a, lab));
	assert_false(access_allows(b, web1));
	assert_false(access_allows(c, web1)); /* no hosts: nobody */
	assert_ptr_equal(tables_find_lun(a, lab, 0), &a->export[0]);
	assert_null(tables_find_lun(a, lab, 1));
	assert_ptr_equal(tables_find_lun(a, web1, 1), &a->export[1]);
	assert_null(tables_find_lun(a, web1, 2));
	assert_true(access_on_portal(a, table->portal[0]));
	assert_false(access_on_portal(b, table->portal[0]));
	assert_true(access_on_portal(b, table->portal[1]));
}

static void test_references_keep_a_table(void **state)
{
	struct access_table *table = access_get(*state);

	assert_int_equal(atomic_load(&table->references), 2);
	access_put(table);
	assert_string_equal(table->host[0]->name, "any");
	access_put(NULL);
}

static void test_names_fold(void **state)
{
	char out[ACCESS_NAME_BYTES], longest[260];
	static const char *const bad[] = {"", "iqn", "iqn.", "web1",
		"iqn.2001-04.com.example:a b", "iqn.2001-04.com.example:a,b",
		"iqn.2001-04.com.example:a/b", "iqn.2001-04\n", "eui.123",
		"eui.02004567a425678g", "naa.123", "naa.52004567ba64678", "*",
		NULL};

	(void)state;
	assert_true(access_fold_name(out, "IQN.2001-04.COM.Example:Web_1", 29));
	assert_string_equal(out, "iqn.2001-04.com.example:web_1");
	assert_true(access_fold_name(out, "eui.02004567A425678D", 20));
	assert_string_equal(out, "eui.02004567a425678d");
	assert_true(access_fold_name(out, "NAA.52004567BA64678D", 20));
	assert_string_equal(out, "naa.52004567ba64678d");
	assert_true(access_fold_name(
		out, "naa.62004567ba64678d0123456789abcdef", 36));
	for (int i = 0; bad[i]; i++)
		assert_false(access_fold_name(out, bad[i], strlen(bad[i])));
	memset(longest, 'x', sizeof longest);
	memcpy(longest, "iqn.", 4);
	assert_true(access_fold_name(out, longest, 223));
	assert_int_equal(strlen(out), 223);
	assert_false(access_fold_name(out, longest, 224));
	assert_false(access_fold_name(out, "iqn.a\0b", 7));
}

struct network_case {
	const char *text, *inside, *outside;
};

static void test_networks(void **state)
{
	static const struct network_case good[] = {
		{"192.0.2.0/24", "192.0.2.255", "192.0.3.0"},
		{"192.0.2.7", "192.0.2.7", "192.0.2.6"},
		{"192.0.2.8/29", "192.0.2.15", "192.0.2.16"},
		{"0.0.0.0/0", "255.255.255.255", "2001:db8::1"},
		{"::1", "::1", "::2"},
		{"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
		{"2001:db8::/33", "2001:db8:7fff::1", "192.0.2.1"},
		{"::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"},
	};
	struct access_network network;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(
			access_parse_network(good[i].text, &network, NULL), 0);
		assert_true(access_network_holds(
			&network, address(good[i].inside)));
		assert_false(access_network_holds(
			&network, address(good[i].outside)));
	}
	assert_int_equal(access_parse_network("::/0", &network, NULL), 0);
	assert_true(access_network_holds(&network, address("192.0.2.1")));
}

static void test_bad_networks_say_why(void **state)
{
	static const char *const bad[][2] = {
		{"", "no network"},
		{"web1", "no network"},
		{"192.0.2", "no network"},
		{"192.0.2.0/", "prefix"},
		{"192.0.2.0/33", "0 to 32"},
		{"192.0.2.0/-1", "prefix"},
		{"192.0.2.0/24x", "prefix"},
		{"2001:db8::/129", "0 to 128"},
		{"192.0.2.1/24", "beyond its prefix"},
		{"fe80::1%eth0", "no network"},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
			"no network"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct access_network network;
		struct err err = {0};

		assert_int_equal(
			access_parse_network(bad[i][0], &network, &err),
			-EINVAL);
		assert_non_null(strstr(err.text, bad[i][1]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_most_particular_host_wins),
		cmocka_unit_test(test_all_conditions_are_required),
		cmocka_unit_test(test_socket_without_address_fits_no_network),
		cmocka_unit_test(test_targets_and_luns),
		cmocka_unit_test(test_references_keep_a_table),
		cmocka_unit_test(test_names_fold),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_bad_networks_say_why),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
