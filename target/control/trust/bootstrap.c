/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token that makes the first admin: 128 bits, in a file for root and in the
 * start text; gone after one use or one hour.
 */
#include "target/control/trust/private_file.h"
#include "target/control/trust/trust_parts.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <unistd.h>

static int name_file(struct trust *trust, struct err *err)
{
	const char *directory = trust->world.run_directory;
	if (snprintf(trust->bootstrap_path, sizeof trust->bootstrap_path,
		    "%s/bootstrap-token",
		    directory) >= (int)sizeof trust->bootstrap_path)
		return err_set(err, ENAMETOOLONG, "%s: too long", directory);
	return 0;
}

int trust_bootstrap_make(struct trust *trust, struct err *err)
{
	uint8_t random[16];
	char line[sizeof trust->bootstrap + 1];
	if (!trust->world.run_directory)
		return 0;
	int failed = name_file(trust, err);
	if (failed)
		return failed;
	int admins = trust_count_admins(trust, err);
	if (admins)
		unlink(trust->bootstrap_path); /* of a start that was killed */
	if (admins)
		return admins < 0 ? admins : 0;
	failed = secret_random(random, sizeof random, err);
	if (failed)
		return failed;
	secret_print_hex(random, sizeof random, trust->bootstrap);
	int length = snprintf(line, sizeof line, "%s\n", trust->bootstrap);
	trust->bootstrap_until_ms =
		trust_now_ms(trust) + TRUST_BOOTSTRAP_S * 1000ll;
	failed = private_file_write(
		trust->bootstrap_path, line, (size_t)length, err);
	OPENSSL_cleanse(random, sizeof random);
	OPENSSL_cleanse(line, sizeof line);
	return failed;
}

void trust_bootstrap_end(struct trust *trust)
{
	if (!trust->bootstrap[0])
		return;
	OPENSSL_cleanse(trust->bootstrap, sizeof trust->bootstrap);
	unlink(trust->bootstrap_path);
}

bool trust_setup_open(struct trust *trust)
{
	if (trust->bootstrap[0] &&
		trust_now_ms(trust) >= trust->bootstrap_until_ms)
		trust_bootstrap_end(trust);
	return trust->bootstrap[0];
}

const char *trust_bootstrap_token(const struct trust *trust)
{
	return trust->bootstrap[0] ? trust->bootstrap : NULL;
}
