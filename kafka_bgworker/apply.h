/*-------------------------------------------------------------------------
 *
 * apply.h
 *	  Writes messages to the target table, inside the caller's transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_APPLY_H
#define VK_APPLY_H

#include "kafka_bgworker/target.h"

typedef struct VkApplier VkApplier;

/* What became of a message that could not be applied. */
typedef struct VkFailure
{
	int			message;		/* of the batch */
	VkProblem	problem;
} VkFailure;

/* What a message has led to; of a key's messages in a batch only the last leads to something. */
typedef enum VkOutcome
{
	VK_OUTCOME_NOTHING,
	VK_OUTCOME_UPSERTED,
	VK_OUTCOME_DELETED
} VkOutcome;

typedef struct VkApplyResult
{
	uint8	   *outcomes;		/* per message: VkOutcome */
	int			failure_count;
	VkFailure  *failures;		/* ascending by message; all in
								 * CurrentMemoryContext */
} VkApplyResult;

typedef enum VkApplyMode
{
	VK_APPLY_FAST,				/* an error in SQL is raised */
	VK_APPLY_CAREFUL			/* an error in SQL is narrowed down to its
								 * message */
} VkApplyMode;

extern VkApplier *vk_applier_create(const VkTarget *target, const VkMessageFormat *format);

/*
 * Applies messages in order, as the target's owner.  Inside a transaction,
 * connected to SPI.  A message that cannot be decoded is a failure in either
 * mode.
 */
extern void vk_apply(VkApplier *applier, const VkMessage *messages, int count, VkApplyMode mode, VkApplyResult *result);

/* Whether an error is about the row, so that setting one message aside helps. */
extern bool vk_is_row_error(int sqlstate);

#endif							/* VK_APPLY_H */
