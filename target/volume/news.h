/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume tells its nexuses of what changes in its source. Control lane.
 */
#ifndef TARGET_VOLUME_NEWS_H
#define TARGET_VOLUME_NEWS_H

struct block_source_watch;
struct volume;

/* `volume->watch` calls it. */
void volume_source_changed(struct block_source_watch *watch);
/* Somebody has put other data in place of those that hosts know. */
void volume_content_changed(struct volume *volume);
/* Comes back when nobody is being told any more; nothing new may come. */
void volume_await_telling_co(struct volume *volume);

#endif
