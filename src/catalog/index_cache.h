/*-------------------------------------------------------------------------
 *
 * index_cache.h
 *	  Definitions of indices and the plans that search them, kept by a backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_INDEX_CACHE_H
#define VK_INDEX_CACHE_H

#include "catalog/datapoint.h"
#include "executor/spi.h"

#define VK_MAX_SPLIT_ATTRIBUTES 31

/* $1 of a search's statement: one query vector, or an array of them. */
typedef enum VkSearchKind
{
	VK_SEARCH_ONE,
	VK_SEARCH_FAN_OUT,			/* as VK_SEARCH_ONE, each partition by itself */
	VK_SEARCH_BATCH
} VkSearchKind;

/* One prepared search: of a k, a set of filtered split attributes, with or without vectors. */
typedef struct VkSearchPlan
{
	SPIPlanPtr	plan;
	int			k;
	uint32		filter;			/* bit i: split attribute i is given */
	bool		vectors;
	VkSearchKind kind;
} VkSearchPlan;

#define VK_PLANS_PER_INDEX	16

typedef struct VkIndexDef
{
	MemoryContext context;		/* holds all of it */
	char	   *name;
	char	   *version;		/* as asked for; NULL: the current one */
	Oid			target;
	int			dimension;
	bool		sparse;
	Oid			vector_type;
	char	   *select_list;	/* distance and attributes; $1 is the query */
	char	   *vector_column;	/* quoted */
	char	   *order_by;
	char	   *from;			/* the target, qualified */
	int			num_partitions; /* of a table with partitions on other nodes */
	Oid		   *partitions;
	char	  **partition_names;	/* quoted and qualified */
	int			num_pruned_by;
	char	  **pruned_by;		/* the shard attributes */
	char	   *columns;		/* all that a search needs of a partition */
	Oid			batch_index;	/* may answer many queries in one pass;
								 * InvalidOid: none */
	char	   *batch_select;	/* as select_list, where u.query is the query */
	VkSource	splits;			/* only its attributes: the split attributes */
	int			num_shard_terms;	/* 0: no shards by an expression */
	char	  **shard_attributes;	/* in step: the terms whose sum is what
									 * the */
	char	  **shard_before;	/* table is partitioned by, each a shard
								 * attribute */
	char	  **shard_behind;	/* between two pieces of SQL */
	VkSearchPlan plans[VK_PLANS_PER_INDEX];
	int			next_plan;		/* to be replaced next */
	bool		stale;
	struct VkIndexDef *next;
} VkIndexDef;

/*
 * The definition of an index; an error when there is none.  Valid until the
 * next call.  SPI must be connected.
 */
extern VkIndexDef *vk_index_def_get(const char *name, const char *version);

/*
 * The plan of a search, prepared now or kept from before.  Its columns are
 * distance, attributes, vector and, of a batch, the number of the query.
 */
extern SPIPlanPtr vk_index_def_plan(VkIndexDef *def, int k, uint32 filter, bool vectors, VkSearchKind kind);

/*
 * How the caller's search for one vector with that filter is done: all
 * partitions by themselves where they all have to be asked, some are on other
 * nodes, and the caller may.
 */
extern VkSearchKind vk_index_def_kind(const VkIndexDef *def, uint32 filter);

/* Whether the caller may ask the partitions by themselves, of which some are on other nodes. */
extern bool vk_index_def_may_fan_out(const VkIndexDef *def);

/*
 * The plan of a search of the partitions that are not away, for this once;
 * NULL when all are.
 */
extern SPIPlanPtr vk_index_def_partial_plan(VkIndexDef *def, int k, uint32 filter, bool vectors, const bool *away);

/* Whether the caller's batch with that filter can be searched in one pass, now. */
extern bool vk_index_def_batch_possible(const VkIndexDef *def, uint32 filter);

#endif							/* VK_INDEX_CACHE_H */
