/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  State of a stream worker, shared by the files worker*.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_WORKER_H
#define VK_WORKER_H

#include "compat/pgcompat.h"
#include "kafka_bgworker/apply.h"
#include "kafka_bgworker/consumer.h"
#include "kafka_bgworker/stream_catalog.h"
#include "kafka_bgworker/worker_shmem.h"

typedef struct VkWorker
{
	VkStreamSlot *slot;
	int			number;			/* of the stream's workers */
	MemoryContext context;		/* lives as long as the worker */
	MemoryContext batch_context;	/* reset after each batch */

	VkStream   *stream;
	VkTarget   *target;
	VkApplier  *applier;
	VkConsumer *consumer;

	VkPartition *partitions;	/* ascending */
	int			partition_count;
	int			topic_partitions;	/* of the whole topic, 0: not known */

	VkMessage  *messages;		/* the batch under way */
	int			message_count;
	int			message_limit;

	bool		dead_letters_exist; /* so that later messages for their keys
									 * must be noticed */
	bool		start_counted;	/* the catalogue counts a start that has not
								 * proved itself */
	bool		one_by_one;		/* messages holds one of a batch of more */

	int			failures;		/* of the batch under way, for the back-off */
	TimestampTz retry_at;		/* not before, after a transient error */
	TimestampTz letters_at;		/* retries of dead letters, again; 0: none
								 * failed */
	TimestampTz ask_at;			/* partitions of the topic, again */
	TimestampTz group_commit_at;
	bool		group_commit_due;
	bool		catching_up;	/* ends of a first load are asked for */
} VkWorker;

/* worker_batch.c: messages to rows, exactly once */

typedef enum VkBatchOutcome
{
	VK_BATCH_DONE,
	VK_BATCH_LOST,				/* somebody changed the stream: read it again */
	VK_BATCH_RETRY				/* a transient error: the same batch again,
								 * later */
} VkBatchOutcome;

extern VkBatchOutcome vk_worker_apply(VkWorker *worker);
extern void vk_worker_retry_dead_letters(VkWorker *worker);
extern bool vk_worker_is_config_error(int sqlstate);
extern VkPartition *vk_worker_partition(VkWorker *worker, int32 partition);

/* worker.c */
extern void vk_worker_begin(VkWorker *worker);
extern void vk_worker_commit(void);
extern void vk_worker_set_state(VkWorker *worker, VkWorkerState state);
extern void vk_worker_set_error(VkWorker *worker, VkWorkerState state, const char *sqlstate, const char *text);
extern void vk_worker_publish(VkWorker *worker, bool count_batch);
extern void vk_worker_event(VkWorker *worker, const char *kind, const char *detail);
pg_noreturn extern void vk_worker_fail(VkWorker *worker, const char *sqlstate, const char *text);

#endif							/* VK_WORKER_H */
