/*-------------------------------------------------------------------------
 *
 * partial.h
 *	  Searches that go on without the shards on nodes that are away.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_PARTIAL_H
#define VK_PARTIAL_H

#include "postgres.h"

struct VkIndexDef;

/* vektonn.partial_results */
extern bool vk_partial_results;

/*
 * Runs something in a subtransaction; false when an error about the
 * connection to a node has undone it, whose message is left in *reason.
 * Other errors are raised.
 */
extern bool vk_partial_try(void (*callback) (void *arg), void *arg, char **reason);

/*
 * Asks every partition of an index for a row, and warns of those that do not
 * answer, with true in their place of the result.  SPI must be connected.
 */
extern bool *vk_partial_find_away(const struct VkIndexDef *def);

#endif							/* VK_PARTIAL_H */
