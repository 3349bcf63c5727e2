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
	MemoryContext loop_context; /* current, and reset, in each turn of the
								 * loop */
	MemoryContext batch_context;	/* reset after each batch */

	VkStream   *stream;
	VkTarget   *target;
	VkApplier  *applier;
	VkConsumer *consumer;

	VkPartition *partitions;	/* ascending */
	MemoryContext partition_context;	/* of the above */
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

	double		recent_messages;	/* the window of max_error_rate; older
									 * ones count less */
	double		recent_letters; /* of these, dead letters */

	int			failures;		/* of the batch under way, for the back-off */
	TimestampTz retry_at;		/* not before, after a transient error */
	TimestampTz letters_at;		/* retries of dead letters, again; 0: none
								 * failed */
	TimestampTz ask_at;			/* partitions of the topic, again */
	uint64		answering_request;	/* the wait request the question under way
									 * is for */
	TimestampTz group_commit_at;
	bool		group_commit_due;
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

/* worker_partitions.c: what comes next, and questions to the broker */
extern void vk_worker_first_partitions(VkWorker *worker);
extern void vk_worker_read_stream(VkWorker *worker, bool assign_anew);
extern void vk_worker_drop_batch(VkWorker *worker);
extern bool vk_worker_has_seeks(VkWorker *worker);
extern void vk_worker_ask(VkWorker *worker);
extern void vk_worker_take_answer(VkWorker *worker);
extern void vk_worker_assign(VkWorker *worker);
extern void vk_worker_take_notices(VkWorker *worker);

/* worker_state.c: transactions, the slot, ends */
extern void vk_worker_begin(VkWorker *worker);
extern void vk_worker_commit(void);
extern void vk_worker_lock_slot(void);
extern void vk_worker_unlock_slot(void);
extern VkWorkerState vk_worker_healthy_state(VkWorker *worker);
extern void vk_worker_set_state(VkWorker *worker, VkWorkerState state);
extern void vk_worker_set_error(VkWorker *worker, VkWorkerState state, const char *sqlstate, const char *text);
extern void vk_worker_set_broker_error(VkWorker *worker, const char *text, bool vague);
extern void vk_worker_partition_error(VkWorker *worker, VkPartition *partition, const char *text);
extern void vk_worker_publish(VkWorker *worker, bool count_batch);
extern void vk_worker_event(VkWorker *worker, const char *kind, const char *detail);
pg_noreturn extern void vk_worker_fail(VkWorker *worker, const char *sqlstate, const char *text);
pg_noreturn extern void vk_worker_start_anew(VkWorker *worker);
pg_noreturn extern void vk_worker_leave(VkWorker *worker);

#endif							/* VK_WORKER_H */
