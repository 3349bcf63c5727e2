/*-------------------------------------------------------------------------
 *
 * consumer.h
 *	  A Kafka consumer of one topic that never blocks its caller.
 *
 * Partitions are assigned by hand at given offsets.  Questions to the broker
 * (partitions there are, offsets of points in time) are asked by a thread, one
 * at a time, because librdkafka answers them only by blocking; that thread
 * calls nothing of PostgreSQL.  The file descriptor becomes readable when
 * messages or an answer have come.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_CONSUMER_H
#define VK_CONSUMER_H

#include "kafka_bgworker/message.h"

typedef struct VkConsumer VkConsumer;

/* Offsets that mean a place, in questions. */
#define VK_OFFSET_EARLIEST	(-2)
#define VK_OFFSET_LATEST	(-1)

typedef enum VkNoticeKind
{
	VK_NOTICE_END,				/* the end of a partition; offset is what
								 * comes next */
	VK_NOTICE_OUT_OF_RANGE,		/* the broker has no such offset any more or
								 * yet */
	VK_NOTICE_ERROR				/* text; partition is -1 when it concerns them
								 * all */
} VkNoticeKind;

typedef struct VkNotice
{
	VkNoticeKind kind;
	int32_t		partition;
	int64_t		offset;
	bool		vague;			/* an error that others explain */
	char		text[256];
} VkNotice;

typedef enum VkAnswerKind
{
	VK_ANSWER_NONE,				/* no question is asked, or it is not yet
								 * answered */
	VK_ANSWER_PARTITIONS,
	VK_ANSWER_OFFSETS,
	VK_ANSWER_ERROR
} VkAnswerKind;

typedef struct VkPartitionOffset
{
	int32_t		partition;
	int64_t		offset;			/* in questions: milliseconds since 1970, or a
								 * place */
} VkPartitionOffset;

typedef struct VkAnswer
{
	VkAnswerKind kind;
	int			tag;			/* of the question */
	int			partition_count;	/* of the topic, or of offsets */
	VkPartitionOffset *offsets; /* until the next question; -1: no message
								 * that late */
	bool		vague;			/* an error that notices explain */
	char		text[256];
} VkAnswer;

/* Server and user are OIDs; raises errors; the consumer is never freed: see vk_worker_main. */
extern VkConsumer *vk_consumer_new(unsigned int server, unsigned int user, const char *topic,
								   const char *group, size_t max_batch);

extern int	vk_consumer_fd(VkConsumer *consumer);
extern void vk_consumer_drain_fd(VkConsumer *consumer);

extern bool vk_consumer_assign(VkConsumer *consumer, int32_t partition, int64_t offset);
extern void vk_consumer_unassign(VkConsumer *consumer, int32_t partition);

/* Messages that are there, at most max of them or slightly more than max_bytes; valid until released. */
extern int	vk_consumer_poll(VkConsumer *consumer, VkMessage *messages, int max, size_t max_bytes);
extern void vk_consumer_release(VkConsumer *consumer);

/* What polls have met besides messages, oldest first; false: nothing more. */
extern bool vk_consumer_notice(VkConsumer *consumer, VkNotice *notice);

/* The end of a partition as the last fetch saw it, -1: not known. */
extern int64_t vk_consumer_high_watermark(VkConsumer *consumer, int32_t partition);

/* Whether a question about offsets is due for the sake of waking the threads that read ahead. */
extern bool vk_consumer_running_dry(VkConsumer *consumer);

/* Questions: one at a time; false while another is under way. */
extern bool vk_consumer_ask_partitions(VkConsumer *consumer, int tag);
extern bool vk_consumer_ask_offsets(VkConsumer *consumer, int tag, const VkPartitionOffset *offsets, int count);
extern bool vk_consumer_asking(VkConsumer *consumer);
extern void vk_consumer_answer(VkConsumer *consumer, VkAnswer *answer);

/* Tells outside tools where the group is; nobody waits for it. */
extern void vk_consumer_commit(VkConsumer *consumer, const VkPartitionOffset *offsets, int count);

#endif							/* VK_CONSUMER_H */
