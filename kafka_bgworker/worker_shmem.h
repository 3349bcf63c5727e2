/*-------------------------------------------------------------------------
 *
 * worker_shmem.h
 *	  What launcher, workers and backends share: one slot per worker that is
 *	  wanted, whether or not it runs.
 *
 * vektonn.so makes the memory; vektonn_kafka.so, which links no symbol of
 * it, finds it through a rendezvous variable (vk_stream_shmem).
 *
 * Life of a slot: a discovery sets in_use and wanted; the launcher registers
 * a worker and sets launched; the worker attaches (pid, latch) and detaches
 * when it exits; a slot that is not wanted and has no worker is freed.  The
 * launcher alone starts workers and frees slots.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_WORKER_SHMEM_H
#define VK_WORKER_SHMEM_H

#include <math.h>

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#define VK_SHMEM_RENDEZVOUS		"vektonn_streams"

/* Partitions a slot has room to report on; a worker reads any number. */
#define VK_SLOT_PARTITIONS		1024
#define VK_ERROR_LENGTH			512
#define VK_SLOT_NAME_LENGTH		64

/* Databases waiting for discovery; when full, all are looked at. */
#define VK_MAX_REQUESTS			64

/* Databases kept free of workers while a statement needs them alone. */
#define VK_MAX_BLOCKED			16

typedef enum VkWorkerState
{
	VK_STATE_STARTING = 0,
	VK_STATE_LOADING,			/* first load, the indexes are not yet built */
	VK_STATE_INDEXING,			/* building them */
	VK_STATE_RUNNING,
	VK_STATE_RETRYING,			/* goes on by itself */
	VK_STATE_FAILED,			/* waits for somebody to change something */
	VK_STATE_NO_WORKER_SLOT		/* max_worker_processes is reached */
} VkWorkerState;

typedef struct VkPartitionStat
{
	int32		partition;
	int64		next_offset;	/* committed */
	int64		high_watermark; /* -1: not known */
	int64		wait_target;	/* end of the partition at the last wait
								 * request, -1: not asked */
	double		rate;			/* messages per second as of rate_at: see
								 * vk_rate */
	TimestampTz rate_at;
	char		error[128];		/* "": none */
	TimestampTz error_at;
} VkPartitionStat;

/* The slot of a database's outbox worker; no stream has this id. */
#define VK_OUTBOX_STREAM	0

typedef struct VkStreamSlot
{
	bool		in_use;
	bool		wanted;			/* should run, says the catalogue */
	bool		seen;			/* scratch of the discovery under way */
	bool		launched;		/* registered, and not yet known to have ended */
	bool		wake;			/* something changed: the worker reads its
								 * stream again */
	Oid			dboid;
	Oid			owner;			/* who may see details */
	int64		stream_id;
	int32		worker;			/* reads partitions with partition % workers
								 * == worker */
	int32		workers;
	int64		generation;		/* of the stream, as last discovered */
	int64		failed_generation;	/* not started again while it is this one */
	uint64		launch;			/* number of the launch, so that a late worker
								 * finds it is late */
	char		name[VK_SLOT_NAME_LENGTH];

	pid_t		pid;			/* 0: no worker attached */
	Latch	   *latch;
	VkWorkerState state;
	int32		failures;		/* in a row, for the back-off */
	TimestampTz next_start;

	char		sqlstate[6];
	char		error[VK_ERROR_LENGTH]; /* "": none since the start */
	TimestampTz error_at;

	uint64		wait_request;	/* somebody waits: ask the broker for the ends */
	uint64		wait_answer;	/* requests answered */
	ConditionVariable progress; /* after each commit and answer */
	int32		partition_count;
	VkPartitionStat partitions[VK_SLOT_PARTITIONS];
} VkStreamSlot;

typedef struct VkBlockedDatabase
{
	Oid			dboid;
	pid_t		pid;			/* of the backend that needs it; 0: free entry */
} VkBlockedDatabase;

typedef struct VkStreamShmem
{
	LWLock	   *lock;			/* protects everything here */
	pid_t		launcher_pid;
	Latch	   *launcher_latch;
	bool		discover_all;
	Oid			discovered;		/* set by a discovery that saw the streams of
								 * its database */
	int32		request_count;
	Oid			requests[VK_MAX_REQUESTS];
	VkBlockedDatabase blocked[VK_MAX_BLOCKED];
	int32		slot_count;
	VkStreamSlot slots[FLEXIBLE_ARRAY_MEMBER];
} VkStreamShmem;

/* Number of a slot and of its launch: the arguments of a worker. */
typedef struct VkWorkerArgs
{
	int32		slot;
	uint64		launch;
} VkWorkerArgs;

/* NULL when the library is not preloaded. */
static inline VkStreamShmem *
vk_stream_shmem(void)
{
	static void **pointer = NULL;

	if (pointer == NULL)
		pointer = find_rendezvous_variable(VK_SHMEM_RENDEZVOUS);
	return (VkStreamShmem *) *pointer;
}

/* Messages per second: each message counts less the longer ago it was. */
#define VK_RATE_SECONDS		5.0

static inline double
vk_rate(const VkPartitionStat *stat, TimestampTz now)
{
	return stat->rate * exp(-(double) (now - stat->rate_at) / USECS_PER_SEC / VK_RATE_SECONDS);
}

/* worker_shmem.c */
extern int	vk_max_stream_workers;

extern void vk_stream_shmem_init(void);
extern void vk_stream_request(Oid dboid);
extern void vk_stream_wake_launcher(void);
extern bool vk_stream_database_blocked(Oid dboid);
extern void vk_stream_block_database(Oid dboid);
extern void vk_stream_unblock_database(Oid dboid);

#endif							/* VK_WORKER_SHMEM_H */
