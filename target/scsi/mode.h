/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode pages (SPC-4 7.5, SBC-3 6.5): a table of constant bytes, and the few bits
 * in them that are flags of the volume.
 */
#ifndef TARGET_SCSI_MODE_H
#define TARGET_SCSI_MODE_H

#include "target/scsi/scsi.h"

#define MODE_PAGE_BYTES 40u

struct mode_bit {
	uint8_t byte, mask;
	unsigned flag; /* enum volume_flag */
};

struct mode_page {
	uint8_t code, subcode;
	uint8_t bytes; /* with its header */
	uint8_t constant[MODE_PAGE_BYTES];
	struct mode_bit bit[3]; /* ends with flag 0 */
};

extern const struct mode_page mode_pages[];
extern const unsigned mode_page_count;

/* The unit has that page. */
bool mode_page_there(
	const struct scsi_task *task, const struct mode_page *page);
/* The flags that hosts can change here and now. */
unsigned mode_changeable(const struct scsi_task *task);
/* The flags as they work: no cache where there is none. */
unsigned mode_current(const struct scsi_task *task);
/* Writes the page with `flags` in its bits over zeroes or, if `constants`, over
 * the bytes that no host can change. */
void mode_page_fill(const struct scsi_task *task, const struct mode_page *page,
	bool constants, unsigned flags, uint8_t *to);

#endif
