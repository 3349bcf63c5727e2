/*-------------------------------------------------------------------------
 *
 * producer.h
 *	  Producing a batch of messages and waiting for its acknowledgement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_PRODUCER_H
#define VK_PRODUCER_H

/* data NULL: no key, or a tombstone for a value */
typedef struct VkBytes
{
	void	   *data;
	size_t		length;
} VkBytes;

typedef struct VkProduceRequest
{
	Oid			server;			/* whose privilege the caller has checked */
	Oid			user;
	const char *topic;
	int			count;
	VkBytes    *keys;			/* count each */
	VkBytes    *values;
	int			timeout_ms;

	/*
	 * Result: behind the last message of the batch, by partition; 0 where
	 * there is none.
	 */
	int64	   *next_offsets;
	int			num_partitions;
} VkProduceRequest;

/* All acknowledged, or an error; then none, some or all are in the topic. */
extern void vk_producer_produce(VkProduceRequest *request);

#endif							/* VK_PRODUCER_H */
