/* SPDX-License-Identifier: Apache-2.0 */
/* See sample.h. */
#include "blockcore/core/sample.h"

#include "blockcore/core/driver.h"

void block_samples_init(struct block_samples *samples)
{
	LIST_INIT(&samples->free);
	for (unsigned i = 0; i < BLOCK_SAMPLES; i++)
		LIST_INSERT_HEAD(&samples->free, &samples->sample[i], link);
}

void block_sample_begin(struct block_request *request)
{
	struct block_samples *samples = &request->lane->private->samples;
	struct block_sample *sample = LIST_FIRST(&samples->free);

	if (!sample) {
		request->flags &= (uint16_t)~BLOCK_TIMED;
		return;
	}
	LIST_REMOVE(sample, link);
	sample->layers = 0;
	request->sample = sample;
}

void block_sample_enter(
	struct block_request *request, struct block_driver *driver)
{
	struct block_sample *sample = request->sample;
	unsigned at = sample->layers;

	if (at == BLOCK_MAX_DRIVERS)
		return;
	sample->layer[at].driver = driver;
	sample->layer[at].since_ns = loop_now_ns(request->lane->loop);
	sample->layer[at].position = request->position;
	sample->layer[at].in_back = request->in_back;
	sample->layers++;
}

void block_sample_leave(
	struct block_request *request, unsigned position, bool in_back)
{
	struct block_sample *sample = request->sample;
	uint64_t now_ns = 0;

	while (sample->layers) {
		unsigned at = sample->layers - 1;
		struct block_driver *driver = sample->layer[at].driver;

		if (sample->layer[at].in_back == in_back
				? sample->layer[at].position < position
				: in_back)
			break; /* it stands above */
		if (!now_ns)
			now_ns = loop_now_ns(request->lane->loop);
		block_times_add(
			block_driver_times(driver, request->lane->index),
			now_ns - sample->layer[at].since_ns);
		sample->layers--;
	}
}

void block_sample_end(struct block_request *request)
{
	struct block_samples *samples = &request->lane->private->samples;

	block_sample_leave(request, 0, false);
	LIST_INSERT_HEAD(&samples->free, request->sample, link);
	request->sample = NULL;
	request->flags &= (uint16_t)~BLOCK_TIMED;
}
