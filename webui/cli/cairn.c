/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairn: the command line of the appliance. `cairn help` says what it can do;
 * command.h how it is made.
 */
#include "webui/cli/run.h"

int main(int argc, char **argv)
{
	return cli_run(argc - 1, argv + 1);
}
