/*-------------------------------------------------------------------------
 *
 * stream_catalog.h
 *	  What a worker reads from and writes to the tables of streams.
 *
 * All functions run in a transaction, connected to SPI, as superuser.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_STREAM_CATALOG_H
#define VK_STREAM_CATALOG_H

#include "datatype/timestamp.h"

#include "kafka_bgworker/apply.h"

typedef struct VkStream
{
	int64		stream_id;
	int64		generation;
	Oid			target;
	char	   *name;
	char	   *server;
	char	   *topic;
	char	   *group;			/* the consumer group offsets are shown in */
	const VkMessageFormat *format;
	char	  **key_columns;
	int			key_count;
	char	  **permanent_columns;	/* NULL: the key columns */
	int			permanent_count;
	char	  **columns;		/* NULL: all */
	int			column_count;
	char	   *vector_column;	/* NULL: the only one */
	char	   *shard_constraint;	/* NULL: all rows are kept */
	char	   *start;
	bool		stop_on_error;
	double		max_error_rate; /* of a window of messages; 1: any */
	bool		unknown_is_error;
	bool		loading;
	int			workers;
	int			batch_messages;
	char	   *fingerprint;	/* of all that takes a new worker when it
								 * changes */
} VkStream;

typedef struct VkPartition
{
	int32		partition;
	int64		next_offset;	/* committed; -1 while only seek is known */
	int64		position;		/* next_offset, or beyond it where only
								 * control records lie between */
	char		seek[40];		/* "": none */
	int64		load_until;		/* -1: not known */
	TimestampTz message_time;
	int			starts;			/* of a worker, since something was applied
								 * here */
	int			cautious;		/* messages still to be applied one at a time */
	int64		suspect;		/* -1: none */
	int			suspect_count;

	bool		assigned;
	TimestampTz assign_at;		/* not before, after an error */

	/* what the batch under way does here */
	int64		batch_end;		/* next offset after it */
	TimestampTz batch_time;
	int64		batch_messages;
	int64		upserted;
	int64		deleted;
	int64		dead_letters;
} VkPartition;

/* NULL: no such stream, or it should not run here. */
extern VkStream *vk_stream_read(int64 stream_id);
extern VkTarget *vk_stream_target(const VkStream *stream);

/* Rows of this worker's partitions, by partition; *count of them. */
extern VkPartition *vk_stream_read_partitions(const VkStream *stream, int worker, int *count);

/* Adds the partitions of this worker that have no row yet; those of a stream that has rows start at the beginning. */
extern void vk_stream_add_partitions(const VkStream *stream, int worker, int partition_count);

/* Gives a partition the offset its seek led to; false: somebody changed it meanwhile. */
extern bool vk_stream_resolve_seek(const VkStream *stream, VkPartition *partition, int64 offset);

/* Writes positions and counters of the partitions whose position moved; false: not ours any more. */
extern bool vk_stream_advance(const VkStream *stream, VkPartition *partitions, int count);

extern void vk_stream_set_seek(const VkStream *stream, int32 partition, const char *seek);
extern void vk_stream_set_load_until(const VkStream *stream, int32 partition, int64 offset);
extern void vk_stream_count_start(const VkStream *stream, int worker);
extern void vk_stream_forget_starts(const VkStream *stream, int worker);
extern void vk_stream_set_suspect(const VkStream *stream, int32 partition, int64 offset, int count);
extern bool vk_stream_loaded(const VkStream *stream, int topic_partitions);
extern void vk_stream_finish_load(const VkStream *stream);
extern void vk_stream_prepare_load(const VkStream *stream);
extern void vk_stream_add_event(int64 stream_id, const char *kind, const char *detail);

/* Dead letters */
extern void vk_dead_letter_add(const VkStream *stream, const VkMessage *message, const VkProblem *problem);
extern bool vk_dead_letters_exist(const VkStream *stream);
extern void vk_dead_letters_supersede(const VkStream *stream, const VkMessage *messages, int count);
extern VkMessage *vk_dead_letters_to_retry(const VkStream *stream, int worker, int limit, int *count);

/* NULL: it was applied. */
extern void vk_dead_letter_done(const VkStream *stream, const VkMessage *message, const VkProblem *problem);

#endif							/* VK_STREAM_CATALOG_H */
