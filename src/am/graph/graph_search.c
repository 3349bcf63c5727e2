/*-------------------------------------------------------------------------
 *
 * graph_search.c
 *	  Beam, visited set, and the choice of neighbours.
 *
 * Neighbours are chosen by the robust pruning of DiskANN: by rising distance,
 * a candidate is left out if one already chosen is nearer to it than the node
 * itself by the factor alpha; places left over go to the nearest left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "am/graph/graph_search.h"

#define ST_SORT sort_keys
#define ST_ELEMENT_TYPE uint64
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* First sizes; all grow. */
#define VISITED_FIRST		256
#define ARENA_CHUNK			(256 * 1024)

/* Working memory for a beam up to this is kept from one search to the next. */
#define TRIM_BEAM			10000

/* How many times ef nodes one expects to visit. */
#define SEEN_PER_EF			4

/* Of the visited nodes, the nearest so many times forward are considered. */
#define CHOOSE_FACTOR		8

static void *
aligned_alloc_64(Size size)
{
	/* palloc aligns to 8; the block is never freed on its own */
	return (void *) TYPEALIGN(64, (uintptr_t) palloc(size + 64));
}

void
vk_search_init(VkGraphSearch *search, const VkSpace *space)
{
	const VkGraphLayout *lay = &space->lay;

	memset(search, 0, sizeof(*search));
	search->space = space;
	if (lay->elem == VK_ELEM_SPARSE)
		vk_sparse_query_init(&search->sparse);
	else
	{
		search->query_rotated = aligned_alloc_64(sizeof(float) * lay->nav_dim);
		search->table_memory = aligned_alloc_64(lay->code_dim * 4);
	}
	search->visited_allocated = VISITED_FIRST;
	search->visited = palloc(sizeof(VkVisited) * search->visited_allocated);
	search->payload_max = lay->elem == VK_ELEM_SPARSE ?
		(int) sizeof(int32) + 8 * VK_SPARSE_MAX_NNZ : vk_graph_dense_size(lay);
	search->slot_copy = aligned_alloc_64(lay->slot_size);
	if (lay->spans)
		search->payload_copy = aligned_alloc_64(search->payload_max);
	search->node_copy = aligned_alloc_64(lay->slot_size);
	search->prune = palloc(sizeof(VkCandidateNode) * (lay->max_edges + 1));
	search->arena.chunk_size = Max(ARENA_CHUNK, (Size) search->payload_max * 2);
}

void
vk_search_set(VkGraphSearch *search, const VkPoint *query)
{
	search->query = *query;
	vk_arena_reset(&search->arena);
	if (search->space->lay.elem == VK_ELEM_SPARSE)
	{
		vk_sparse_query_set(&search->sparse, search->space, query);
		return;
	}
	vk_space_rotate(search->space, query, search->query_rotated);
	vk_code_table_build(search->space->codes, &search->table, search->query_rotated,
						search->space->lay.code_dim, search->space->lay.planes,
						search->table_memory);
}

void
vk_search_trim(VkGraphSearch *search)
{
	if (search->beam_allocated <= TRIM_BEAM)
		return;
	pfree(search->beam);
	vk_set_free(&search->seen);
	pfree(search->visited);
	vk_sparse_trim(&search->sparse);
	search->beam = NULL;
	search->beam_allocated = search->nbeam = search->nvisited = 0;
	search->visited_allocated = 0;
	search->visited = NULL;
}

void *
vk_arena_alloc(VkArena *arena, Size size)
{
	void	   *result;

	size = MAXALIGN(size);
	Assert(size <= arena->chunk_size);
	if (arena->nchunks == 0 || arena->used + size > arena->chunk_size)
	{
		if (arena->nchunks > 0)
			arena->current++;
		arena->used = 0;
		if (arena->current >= arena->nchunks)
		{
			/* a short list: chunks are kept from one insertion to the next */
			arena->chunks = arena->nchunks == 0 ? palloc(sizeof(char *)) :
				repalloc(arena->chunks, sizeof(char *) * (arena->nchunks + 1));
			arena->chunks[arena->nchunks++] = aligned_alloc_64(arena->chunk_size);
		}
	}
	result = arena->chunks[arena->current] + arena->used;
	arena->used += size;
	return result;
}

void
vk_arena_reset(VkArena *arena)
{
	arena->current = 0;
	arena->used = 0;
}

void
vk_search_begin(VkGraphSearch *search, int ef)
{
	vk_set_begin(&search->seen, Max(64, (uint32) ef * SEEN_PER_EF));
	if (ef + 1 > search->beam_allocated)
	{
		if (search->beam != NULL)
			pfree(search->beam);
		search->beam_allocated = ef + 1;
		search->beam = palloc(sizeof(VkBeamEntry) * search->beam_allocated);
	}
	search->nbeam = 0;
	search->nvisited = 0;
	if (search->space->lay.elem == VK_ELEM_SPARSE)
		vk_sparse_begin(&search->sparse, ef);
}

void
vk_search_grow_visited(VkGraphSearch *search)
{
	search->visited_allocated = Max(search->visited_allocated * 2, VISITED_FIRST);
	search->visited = search->visited == NULL ?
		palloc(sizeof(VkVisited) * search->visited_allocated) :
		repalloc(search->visited, sizeof(VkVisited) * search->visited_allocated);
}

/*
 * Puts the neighbours of the slot into the beam whose estimates are good
 * enough; returns the first place that changed, INT_MAX if none.
 */
int
vk_search_expand(VkGraphSearch *search, const char *rec, float nav, int ef)
{
	const VkGraphLayout *lay = &search->space->lay;
	const VkGraphNode *node = (const VkGraphNode *) rec;
	const VkNodeId *ids = VK_EDGE_IDS(lay, rec);
	int			first = INT_MAX;

	search->nfresh = 0;
	if (lay->elem == VK_ELEM_SPARSE)
		return vk_sparse_expand(search, rec, ef);
	for (int start = 0; start < node->nedges; start += VK_EDGE_GROUP)
	{
		float		est[VK_EDGE_GROUP];
		float		scaled[VK_EDGE_GROUP];
		const float *bias = VK_EDGE_BIAS(lay, rec) + start;
		float		limit = search->nbeam < ef ? INFINITY :
		vk_beam_dist(search->beam[search->nbeam - 1]);
		VkBeamEntry fresh[VK_EDGE_GROUP];
		int			count = node->nedges - start;
		int			nfresh = 0;
		uint32		below;

		if (vk_codes_inner(lay))
			bias = vk_inner_bias(lay, bias, nav, node->norm2, scaled);
		below = search->space->codes->estimate(&search->table,
											   VK_EDGE_CODES(lay, rec, start / VK_EDGE_GROUP), bias,
											   VK_EDGE_SCALE(lay, rec) + start,
											   nav, limit, est);
		if (count < VK_EDGE_GROUP)
			below &= ((uint32) 1 << count) - 1;
		for (; below != 0; below &= below - 1)
		{
			int			e = __builtin_ctz(below);
			VkNodeId	id = ids[start + e];

			/* always written, often overwritten: a branch would be a guess */
			fresh[nfresh] = vk_beam_entry(id, est[e]);
			nfresh += (id < VK_NODE_LIMIT) & !vk_set_has(&search->seen, id);
		}
		for (int i = 0; i < nfresh; i++)
			vk_beam_offer(search, fresh[i], ef, &first);
	}
	return first;
}

const VkVisited *
vk_search_best(const VkGraphSearch *search)
{
	const VkVisited *best = &search->visited[0];

	for (int i = 1; i < search->nvisited; i++)
		if (search->visited[i].nav < best->nav)
			best = &search->visited[i];
	return best;
}

const VkVisited *
vk_search_equal(const VkGraphSearch *search, uint32 payload_size)
{
	for (int i = 0; i < search->nvisited; i++)
	{
		const VkVisited *visited = &search->visited[i];

		if (visited->point.norm2 == search->query.norm2 &&
			visited->payload_size == payload_size &&
			(visited->flags & VK_NODE_DEAD) == 0 &&
			memcmp(visited->point.data, search->query.data, payload_size) == 0)
			return visited;
	}
	return NULL;
}

static int
compare_nav(const void *a, const void *b)
{
	const VkCandidateNode *left = a;
	const VkCandidateNode *right = b;

	if (left->nav != right->nav)
		return left->nav < right->nav ? -1 : 1;
	return left->id < right->id ? -1 : left->id > right->id;
}

int
vk_prune(const VkSpace *space, VkCandidateNode *candidates, int ncandidates, int keep)
{
	VkCandidateNode kept[VK_GRAPH_MAX_EDGES];
	int		   *rejected;
	int			nkept = 0;
	int			nrejected = 0;

	qsort(candidates, ncandidates, sizeof(VkCandidateNode), compare_nav);
	if (ncandidates <= keep && keep == 0)
		return 0;
	rejected = palloc(sizeof(int) * Max(ncandidates, 1));
	for (int i = 0; i < ncandidates && nkept < keep; i++)
	{
		VkCandidateNode *candidate = &candidates[i];
		bool		wanted = true;
		bool		twice = false;

		for (int k = 0; k < nkept; k++)
		{
			if (kept[k].id == candidate->id)
			{
				twice = true;
				break;
			}
			if (wanted &&
				space->alpha * vk_space_measure(space, &candidate->point, &kept[k].point, NULL) < candidate->nav)
			{
				wanted = false;
				break;
			}
		}
		if (twice)
			continue;
		if (wanted)
			kept[nkept++] = *candidate;
		else
			rejected[nrejected++] = i;
	}
	for (int i = 0; i < nrejected && nkept < keep; i++)
	{
		VkCandidateNode *candidate = &candidates[rejected[i]];
		bool		twice = false;

		for (int k = 0; k < nkept && !twice; k++)
			twice = kept[k].id == candidate->id;
		if (!twice)
			kept[nkept++] = *candidate;
	}
	pfree(rejected);
	memcpy(candidates, kept, sizeof(VkCandidateNode) * nkept);
	return nkept;
}

int
vk_search_nearest(VkGraphSearch *search, int wanted)
{
	int			count = 0;

	if (search->sorted_allocated < search->nvisited)
	{
		if (search->sorted != NULL)
		{
			pfree(search->sorted);
			pfree(search->sort_keys);
		}
		search->sorted_allocated = search->visited_allocated;
		search->sorted = palloc(sizeof(VkCandidateNode) * search->sorted_allocated);
		search->sort_keys = palloc(sizeof(uint64) * search->sorted_allocated);
	}
	for (int i = 0; i < search->nvisited; i++)
		if ((search->visited[i].flags & VK_NODE_DEAD) == 0)
			search->sort_keys[count++] = (uint64) vk_float_order(search->visited[i].nav) << 32 | i;
	sort_keys(search->sort_keys, count);
	count = Min(count, wanted);
	for (int i = 0; i < count; i++)
	{
		const VkVisited *visited = &search->visited[(uint32) search->sort_keys[i]];
		VkCandidateNode *candidate = &search->sorted[i];

		candidate->id = visited->id;
		candidate->nav = visited->nav;
		candidate->gen = visited->gen;
		candidate->edge = -1;
		candidate->point = visited->point;
		candidate->rotated = NULL;
		candidate->code = NULL;
		candidate->arena = &search->arena;
	}
	return count;
}

int
vk_search_choose(VkGraphSearch *search, VkCandidateNode **chosen)
{
	const VkGraphLayout *lay = &search->space->lay;
	int			ncandidates = vk_search_nearest(search, lay->forward * CHOOSE_FACTOR);
	int			nchosen = vk_prune(search->space, search->sorted, ncandidates, lay->forward);

	*chosen = vk_arena_alloc(&search->arena, sizeof(VkCandidateNode) * Max(nchosen, 1));
	memcpy(*chosen, search->sorted, sizeof(VkCandidateNode) * nchosen);
	return nchosen;
}

void
vk_edges_keep(const VkGraphLayout *lay, char *rec, const VkCandidateNode *kept, int nkept,
			  const VkNewEdge *new_edge)
{
	VkGraphNode *node = (VkGraphNode *) rec;
	VkNewEdge	edges[VK_GRAPH_MAX_EDGES];

	/* all out, then all in: an edge may move to the place of another */
	for (int i = 0; i < nkept; i++)
	{
		int			e = kept[i].edge;

		if (e < 0)
		{
			edges[i] = *new_edge;
			continue;
		}
		edges[i].id = VK_EDGE_IDS(lay, rec)[e];
		edges[i].gen = VK_EDGE_GEN(lay, rec)[e];
		vk_edge_get(lay, rec, e, &edges[i].code);
	}
	memset(rec + lay->code_off, 0, lay->payload_off - lay->code_off);
	for (int i = 0; i < nkept; i++)
		vk_edge_put(lay, rec, i, edges[i].id, edges[i].gen, &edges[i].code);
	node->nedges = nkept;
}

static const float *
candidate_rotated(const VkSpace *space, VkCandidateNode *candidate)
{
	if (candidate->rotated == NULL)
	{
		candidate->rotated = vk_arena_alloc(candidate->arena, sizeof(float) * space->lay.nav_dim);
		vk_space_rotate(space, &candidate->point, candidate->rotated);
	}
	return candidate->rotated;
}

void
vk_candidate_encode(const VkSpace *space, VkCandidateNode *from, VkCandidateNode *to,
					VkEdgeCode *code)
{
	if (space->lay.elem != VK_ELEM_SPARSE)
	{
		const float *owner = candidate_rotated(space, from);

		vk_edge_encode(space->codes, &space->lay, owner, candidate_rotated(space, to), code);
		return;
	}
	if (to->code == NULL)
	{
		to->code = vk_arena_alloc(to->arena, sizeof(VkEdgeCode));
		vk_sparse_encode(space, &to->point, to->code);
	}
	*code = *to->code;
}

int
vk_random_level(uint64 random)
{
	int			level = 0;

	while (level < VK_MAX_LEVEL && random % VK_LEVEL_FANOUT == 0)
	{
		level++;
		random /= VK_LEVEL_FANOUT;
	}
	return level;
}
