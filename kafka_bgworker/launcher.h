/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  What vektonn.so calls of the stream launcher.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_LAUNCHER_H
#define VK_LAUNCHER_H

#include "fmgr.h"

/* Settings, defined in src/guc.c. */
extern bool vk_streams_enabled;
extern int	vk_max_stream_workers;

/* Shared memory, hooks and the launcher; only while the postmaster preloads libraries. */
extern void vk_launcher_init(void);

/* stream_control.c: the hook that keeps workers out of the way of DROP DATABASE and the like */
extern void vk_stream_control_init(void);

extern PGDLLEXPORT void vk_launcher_main(Datum arg);
extern PGDLLEXPORT void vk_discovery_main(Datum arg);

#endif							/* VK_LAUNCHER_H */
