/*-------------------------------------------------------------------------
 *
 * graph_search.h
 *	  Working memory of a search or an insertion: beam, visited set, results.
 *
 * One VkGraphSearch serves any number of searches after another; nothing in
 * it outlives the context it was made in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_SEARCH_H
#define VK_GRAPH_SEARCH_H

#include "am/graph/graph_sparse.h"

/* The beam on the way down, the place of the node one came from included. */
#define VK_EF_DESCEND		2

#define VK_DESCEND_ATTEMPTS	10
#define VK_CONNECT_ATTEMPTS	2

/* What core_add_edge() may find. */
typedef enum VkAddEdge
{
	VK_ADD_DONE,
	VK_ADD_SKIP,				/* there already, or the node is gone or dead */
	VK_ADD_FULL
} VkAddEdge;

/*
 * From the highest bit: 32 bits that order as the estimated distance does, 31
 * of the node, 1 if it has been visited.  Entries compare as integers: no
 * branches in the search for a place.
 */
typedef uint64 VkBeamEntry;

#define VK_BEAM_VISITED		UINT64CONST(1)

/* Slots are numbered below this, so that they fit an entry. */
#define VK_NODE_LIMIT		((VkNodeId) 0x7FFFFFFF)

/* Nodes on their way to the CPU's cache while another is visited. */
#define VK_LOOK_AHEAD		2

/* The same once one had to come from disk. */
#define VK_LOOK_AHEAD_DISK	8

typedef struct VkVisited
{
	double		rank;			/* only if want_rank */
	float		nav;
	VkNodeId	id;
	VkNodeId	down;
	VkNodeId	more;
	uint8		gen;
	uint8		flags;
	uint8		ntids;
	uint32		payload_size;	/* the rest only if keep_points */
	VkPoint		point;
	ItemPointerData tids[VK_NODE_INLINE_TIDS];
} VkVisited;

/* A node that may become a neighbour. */
typedef struct VkCandidateNode
{
	VkNodeId	id;
	float		nav;
	uint8		gen;
	int			edge;			/* its edge in the slot being pruned, or -1 */
	VkPoint		point;
	float	   *rotated;		/* NULL until needed; dense */
	VkEdgeCode *code;			/* NULL until needed; sparse */
	struct VkArena *arena;
} VkCandidateNode;

typedef struct VkNewEdge
{
	VkNodeId	id;
	uint8		gen;
	VkEdgeCode	code;
} VkNewEdge;

/* Memory that lives until the next insertion. */
typedef struct VkArena
{
	char	  **chunks;
	int			nchunks;
	int			current;
	Size		used;
	Size		chunk_size;
} VkArena;

typedef struct VkGraphSearch
{
	const VkSpace *space;
	VkPoint		query;
	float	   *query_rotated;
	VkCodeTable table;
	uint8	   *table_memory;
	VkSparseQuery sparse;		/* in place of the three above */
	bool		want_rank;
	bool		keep_points;

	VkBeamEntry *beam;			/* ascending estimates */
	int			nbeam;
	int			beam_allocated;
	VkNodeSet	seen;			/* visited nodes */
	VkVisited  *visited;
	int			nvisited;
	int			visited_allocated;
	VkNodeId	fresh[VK_GRAPH_MAX_EDGES];	/* put into the beam last */
	int			nfresh;
	uint32		payload_max;	/* larger ones are damage */

	char	   *slot_copy;		/* of spanning slots while they are searched */
	char	   *payload_copy;
	char	   *node_copy;		/* slot under construction or being pruned */
	VkCandidateNode *prune;		/* max_edges + 1, or more for repair */
	VkCandidateNode *sorted;
	uint64	   *sort_keys;
	int			sorted_allocated;
	VkArena		arena;

	int64		hops;			/* nodes visited since vk_search_init() */
} VkGraphSearch;

extern void vk_search_init(VkGraphSearch *search, const VkSpace *space);

/* Sets the point to search for; it must stay valid.  Forgets kept points. */
extern void vk_search_set(VkGraphSearch *search, const VkPoint *query);

/* Gives back what an unusually wide beam took; ends the use of visited. */
extern void vk_search_trim(VkGraphSearch *search);
extern void *vk_arena_alloc(VkArena *arena, Size size);
extern void vk_arena_reset(VkArena *arena);
extern void vk_search_begin(VkGraphSearch *search, int ef);
extern void vk_search_grow_visited(VkGraphSearch *search);
extern int	vk_search_expand(VkGraphSearch *search, const char *rec, float nav, int ef);

/* The nearest visited node. */
extern const VkVisited *vk_search_best(const VkGraphSearch *search);

/* A visited node with exactly the vector searched for, or NULL. */
extern const VkVisited *vk_search_equal(const VkGraphSearch *search, uint32 payload_size);

/* The nearest living visited nodes, by rising distance, to search->sorted: how many. */
extern int	vk_search_nearest(VkGraphSearch *search, int wanted);

/* Neighbours for the point searched for, out of the visited nodes. */
extern int	vk_search_choose(VkGraphSearch *search, VkCandidateNode **chosen);

/*
 * Robust pruning: reorders candidates so that the first ones are those to keep;
 * returns how many.  Sorts them by nav first.
 */
extern int	vk_prune(const VkSpace *space, VkCandidateNode *candidates, int ncandidates,
					 int keep);

/*
 * Rewrites the edges of the copy of a slot: the kept candidates, which are
 * edges of it or (edge -1) the new one.
 */
extern void vk_edges_keep(const VkGraphLayout *lay, char *rec, const VkCandidateNode *kept,
						  int nkept, const VkNewEdge *new_edge);

/* The code of an edge between two candidates. */
extern void vk_candidate_encode(const VkSpace *space, VkCandidateNode *from,
								VkCandidateNode *to, VkEdgeCode *code);

/* A level for a new node: 0, or more with falling probability. */
extern int	vk_random_level(uint64 random);

static inline VkVisited *
vk_search_visit(VkGraphSearch *search)
{
	if (unlikely(search->nvisited == search->visited_allocated))
		vk_search_grow_visited(search);
	return &search->visited[search->nvisited++];
}

/* An integer that orders as the float does. */
static inline uint32
vk_float_order(float value)
{
	int32		bits;

	memcpy(&bits, &value, sizeof(bits));
	return (uint32) bits ^ ((uint32) (bits >> 31) | 0x80000000);
}

static inline VkBeamEntry
vk_beam_entry(VkNodeId id, float dist)
{
	return (uint64) vk_float_order(dist) << 32 | (uint64) id << 1;
}

static inline float
vk_beam_dist(VkBeamEntry entry)
{
	uint32		bits = (uint32) (entry >> 32);
	float		dist;

	bits ^= (uint32) ~((int32) bits >> 31) | 0x80000000;
	memcpy(&dist, &bits, sizeof(dist));
	return dist;
}

/* Where the entry belongs: the number of entries that are less. */
static inline int
vk_beam_place(const VkGraphSearch *search, VkBeamEntry entry)
{
	const VkBeamEntry *from = search->beam;
	int			left = search->nbeam;

	while (left > 1)
	{
		int			half = left / 2;
		const VkBeamEntry *upper = from + half;

		from = upper[-1] < entry ? upper : from;
		left -= half;
	}
	return (int) (from - search->beam) + (left > 0 && *from < entry);
}

/* Puts an entry in its place, and drops the last one if there are more than ef. */
static inline void
vk_beam_insert(VkGraphSearch *search, VkBeamEntry entry, int place, int ef)
{
	VkBeamEntry *beam = search->beam;

	/* there is room for one more */
	memmove(&beam[place + 1], &beam[place], sizeof(VkBeamEntry) * (search->nbeam - place));
	beam[place] = entry;
	search->nbeam += search->nbeam < ef;
}

/* A neighbour that may be among the ef nearest; *first: the least place taken. */
static inline void
vk_beam_offer(VkGraphSearch *search, VkBeamEntry entry, int ef, int *first)
{
	int			place = vk_beam_place(search, entry);

	if (place == ef)
		return;
	vk_beam_insert(search, entry, place, ef);
	search->fresh[search->nfresh++] = (uint32) entry >> 1;
	*first = Min(*first, place);
}

/*
 * The nearest node of the beam from *current on that is yet to be visited; from
 * now on it is.  False if there is none.  Repetitions of others leave the beam.
 */
static inline bool
vk_beam_next(VkGraphSearch *search, int *current, VkNodeId *id)
{
	while (*current < search->nbeam)
	{
		VkBeamEntry *next = &search->beam[*current];

		*id = (uint32) *next >> 1;
		if (*next & VK_BEAM_VISITED)
			++* current;
		else if (vk_set_add(&search->seen, *id))
		{
			*next |= VK_BEAM_VISITED;
			++*current;
			return true;
		}
		else
		{
			search->nbeam--;
			memmove(next, next + 1, sizeof(VkBeamEntry) * (search->nbeam - *current));
		}
	}
	return false;
}

#endif							/* VK_GRAPH_SEARCH_H */
