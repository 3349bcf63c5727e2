/*-------------------------------------------------------------------------
 *
 * am_dir.c
 *	  The split directory: a hash tree from split keys to splits.
 *
 * An inner page chooses among VK_DIR_SLOTS children by VK_DIR_BITS bits of
 * the hash; several neighbouring hashes may share a child, as in extendible
 * hashing.  A leaf knows the low bits all its hashes have (prefix, depth).
 * A full leaf whose depth is not a multiple of VK_DIR_BITS divides: half its
 * entries move to a new leaf, and the slots of its parent that lead there
 * change.  One whose depth is such a multiple has no spare slots above: its
 * page becomes an inner page itself, over two new leaves.  Either is one WAL
 * record, so the tree is always whole.  Leaves are never freed or merged.
 *
 * Locks: a descent holds one page at a time, and checks at the leaf that it
 * is still the right one.  Division locks parent, then leaf.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

#define DEPTH_MASK(depth)	((UINT64CONST(1) << (depth)) - 1)
#define SLOT_OF(hash, level) \
	(((hash) >> ((level) * VK_DIR_BITS)) & (VK_DIR_SLOTS - 1))

/* More restarts of a descent than concurrent divisions can explain. */
#define MAX_RESTARTS	10000

static void
leaf_init(Page page, uint64 prefix, uint32 depth, BlockNumber fill)
{
	VkDirLeaf	header;

	header.prefix = prefix;
	header.depth = depth;
	header.fill = fill;
	if (PageAddItem(page, (Item) &header, sizeof(header), FirstOffsetNumber,
					false, false) != FirstOffsetNumber)
		elog(ERROR, "could not add the header of a directory leaf");
}

/* Writes an empty root behind the metapage. */
void
vk_dir_create(VkIndex *index, ForkNumber fork)
{
	VkEdit		edit;
	Buffer		buffer;

	buffer = fork == INIT_FORKNUM ? vk_extend_init_fork_compat(index->rel) :
		vk_extend_relation_compat(index->rel);
	Assert(BufferGetBlockNumber(buffer) == VK_DIR_ROOT_BLOCK);
	vk_edit_start(&edit, index);
	leaf_init(vk_edit_new(&edit, buffer, VK_PAGE_DIR_LEAF, 0), 0, 0, InvalidBlockNumber);
	vk_edit_commit_release(&edit);
}

static void *
leaf_item(VkIndex *index, Buffer leaf, OffsetNumber offset, Size min_size, Size *size)
{
	Page		page = BufferGetPage(leaf);
	ItemId		id = PageGetItemId(page, offset);

	if (!ItemIdIsNormal(id) || ItemIdGetLength(id) < min_size ||
		ItemIdGetOffset(id) < ((PageHeader) page)->pd_upper ||
		ItemIdGetOffset(id) + ItemIdGetLength(id) > ((PageHeader) page)->pd_special)
		vk_report_corruption(index->rel, BufferGetBlockNumber(leaf),
							 "Item %u of the directory leaf is damaged.", offset);
	*size = ItemIdGetLength(id);
	return PageGetItem(page, id);
}

/* The caller holds a lock on the leaf. */
VkDirLeaf *
vk_dir_header(VkIndex *index, Buffer leaf)
{
	Size		size;
	VkDirLeaf  *header;

	if (PageGetMaxOffsetNumber(BufferGetPage(leaf)) < FirstOffsetNumber)
		vk_report_corruption(index->rel, BufferGetBlockNumber(leaf),
							 "The directory leaf has no header.");
	header = leaf_item(index, leaf, FirstOffsetNumber, sizeof(VkDirLeaf), &size);
	if (header->depth > VK_DIR_MAX_DEPTH)
		vk_report_corruption(index->rel, BufferGetBlockNumber(leaf),
							 "The directory leaf has depth %u.", header->depth);
	return header;
}

/* Entry at an offset >= 2 of a leaf the caller has locked. */
VkSplitEntry *
vk_dir_entry(VkIndex *index, Buffer leaf, OffsetNumber offset)
{
	Size		size;
	VkSplitEntry *entry = leaf_item(index, leaf, offset, offsetof(VkSplitEntry, key), &size);

	if (size != VK_ENTRY_SIZE(entry->key_size) || entry->nshared > VK_TINY_BLOCKS ||
		(index->key_desc == NULL) != (entry->key_size == 0) ||
		(entry->key_size > 0 && IndexTupleSize((IndexTuple) entry->key) != entry->key_size))
		vk_report_corruption(index->rel, BufferGetBlockNumber(leaf),
							 "Item %u of the directory leaf is damaged.", offset);
	return entry;
}

/* Offset of the entry with this key in a leaf the caller has locked, or 0. */
OffsetNumber
vk_dir_find(VkIndex *index, Buffer leaf, const VkSplitKey *key)
{
	OffsetNumber last = PageGetMaxOffsetNumber(BufferGetPage(leaf));

	for (OffsetNumber offset = FirstOffsetNumber + 1; offset <= last; offset++)
		if (vk_key_equal(index, key, vk_dir_entry(index, leaf, offset)))
			return offset;
	return InvalidOffsetNumber;
}

static VkDirInner *
inner_checked(VkIndex *index, Buffer buffer, uint32 min_level)
{
	VkDirInner *inner = VkPageGetInner(BufferGetPage(buffer));

	if (inner->level < min_level || inner->level * VK_DIR_BITS >= VK_DIR_MAX_DEPTH ||
		((PageHeader) BufferGetPage(buffer))->pd_lower <
		MAXALIGN(SizeOfPageHeaderData) + sizeof(VkDirInner))
		vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
							 "The directory page has level %u, at least %u was expected.",
							 inner->level, min_level);
	return inner;
}

static Buffer
read_dir_page(VkIndex *index, BlockNumber block, int lock, bool *is_leaf)
{
	Buffer		buffer = vk_page_read_any(index, block, lock);
	int			kind = VkPageGetOpaque(BufferGetPage(buffer))->kind;

	if (kind != VK_PAGE_DIR_INNER && kind != VK_PAGE_DIR_LEAF)
		vk_report_corruption(index->rel, block,
							 "The page is of kind %d, where one of the split directory was expected.",
							 kind);
	*is_leaf = kind == VK_PAGE_DIR_LEAF;
	return buffer;
}

/*
 * The leaf that holds this hash, locked.  parent, if not NULL, receives the
 * block of the inner page above it, or an invalid one at the root.
 */
static Buffer
descend(VkIndex *index, uint64 hash, int lock, BlockNumber *parent)
{
	for (int restarts = 0; restarts < MAX_RESTARTS; restarts++)
	{
		BlockNumber block = VK_DIR_ROOT_BLOCK;
		BlockNumber above = InvalidBlockNumber;
		uint32		level = 0;

		for (;;)
		{
			bool		is_leaf;
			Buffer		buffer = read_dir_page(index, block, lock, &is_leaf);
			VkDirInner *inner;

			if (is_leaf)
			{
				VkDirLeaf  *header = vk_dir_header(index, buffer);

				if ((hash & DEPTH_MASK(header->depth)) == header->prefix)
				{
					if (parent != NULL)
						*parent = above;
					return buffer;
				}
				vk_page_release(buffer);	/* divided meanwhile */
				break;
			}
			inner = inner_checked(index, buffer, level);
			above = block;
			level = inner->level;
			block = inner->children[SLOT_OF(hash, level)];
			level++;
			vk_page_release(buffer);
		}
		CHECK_FOR_INTERRUPTS();
	}
	vk_report_corruption(index->rel, VK_DIR_ROOT_BLOCK,
						 "The split directory leads to a wrong leaf.");
}

Buffer
vk_dir_leaf(VkIndex *index, uint64 hash, int lock)
{
	return descend(index, hash, lock, NULL);
}

/* ------------------------------------------------------------------------
 * Division
 * ------------------------------------------------------------------------ */

/* Copies the entries whose hash has this value in bit depth. */
static void
copy_half(VkIndex *index, Buffer from, Page to, uint32 depth, uint64 bit)
{
	OffsetNumber last = PageGetMaxOffsetNumber(BufferGetPage(from));

	for (OffsetNumber offset = FirstOffsetNumber + 1; offset <= last; offset++)
	{
		VkSplitEntry *entry = vk_dir_entry(index, from, offset);

		if (((entry->hash >> depth) & 1) == bit &&
			PageAddItem(to, (Item) entry, VK_ENTRY_SIZE(entry->key_size), InvalidOffsetNumber,
						false, false) == InvalidOffsetNumber)
			elog(ERROR, "could not move an entry of the split directory");
	}
}

/* An image of one half of leaf, for buffer. */
static void
edit_half(VkEdit *edit, Buffer leaf, const VkDirLeaf *header, uint64 bit, Buffer buffer)
{
	Page		page = vk_edit_new(edit, buffer, VK_PAGE_DIR_LEAF, 0);

	leaf_init(page, header->prefix | (bit << header->depth), header->depth + 1, header->fill);
	copy_half(edit->index, leaf, page, header->depth, bit);
}

/* The leaf's page becomes an inner page over two new leaves. */
static void
leaf_to_inner(VkIndex *index, Buffer leaf)
{
	VkDirLeaf	header = *vk_dir_header(index, leaf);
	Buffer		halves[2];
	VkDirInner *inner;
	Page		page;
	VkEdit		edit;

	halves[0] = vk_page_allocate(index);
	halves[1] = vk_page_allocate(index);
	vk_edit_start(&edit, index);
	edit_half(&edit, leaf, &header, 0, halves[0]);
	edit_half(&edit, leaf, &header, 1, halves[1]);
	page = vk_edit_new(&edit, leaf, VK_PAGE_DIR_INNER, 0);
	inner = VkPageGetInner(page);
	memset(inner, 0, sizeof(*inner));
	inner->level = header.depth / VK_DIR_BITS;
	for (int slot = 0; slot < VK_DIR_SLOTS; slot++)
		inner->children[slot] = BufferGetBlockNumber(halves[slot & 1]);
	VkPageSetUsed(page, sizeof(*inner));
	vk_edit_commit_release(&edit);
}

/* Half of the leaf's entries move to a new leaf; the parent learns of it. */
static void
leaf_divide(VkIndex *index, Buffer parent, Buffer leaf)
{
	VkDirLeaf	header = *vk_dir_header(index, leaf);
	VkDirInner *inner;
	BlockNumber old = BufferGetBlockNumber(leaf);
	uint32		bit;
	Buffer		new;
	VkEdit		edit;

	inner = inner_checked(index, parent, 0);
	if (header.depth <= inner->level * VK_DIR_BITS ||
		header.depth >= (inner->level + 1) * VK_DIR_BITS)
		vk_report_corruption(index->rel, old, "The directory leaf has depth %u below level %u.",
							 header.depth, inner->level);
	bit = 1 << (header.depth - inner->level * VK_DIR_BITS);
	new = vk_page_allocate(index);
	vk_edit_start(&edit, index);
	edit_half(&edit, leaf, &header, 0, leaf);
	edit_half(&edit, leaf, &header, 1, new);
	inner = VkPageGetInner(vk_edit_copy(&edit, parent));
	for (int slot = 0; slot < VK_DIR_SLOTS; slot++)
		if (inner->children[slot] == old && (slot & bit))
			inner->children[slot] = BufferGetBlockNumber(new);
	vk_edit_commit_release(&edit);
}

/*
 * Makes room in the leaf of this hash by dividing it.  The caller holds no
 * lock, and must look again afterwards.
 */
void
vk_dir_split_leaf(VkIndex *index, uint64 hash)
{
	BlockNumber above;
	Buffer		leaf = descend(index, hash, BUFFER_LOCK_EXCLUSIVE, &above);
	uint32		depth = vk_dir_header(index, leaf)->depth;
	BlockNumber block = BufferGetBlockNumber(leaf);
	Buffer		parent;
	bool		is_leaf;

	if (depth >= VK_DIR_MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many splits of index \"%s\" have nearly the same hash value",
						RelationGetRelationName(index->rel))));
	if (depth % VK_DIR_BITS == 0)
	{
		leaf_to_inner(index, leaf);
		return;
	}
	vk_page_release(leaf);

	/* parent before leaf; another backend may have been faster */
	parent = vk_page_read(index, above, VK_PAGE_DIR_INNER, 0, BUFFER_LOCK_EXCLUSIVE);
	leaf = read_dir_page(index, block, BUFFER_LOCK_EXCLUSIVE, &is_leaf);
	if (is_leaf && vk_dir_header(index, leaf)->depth == depth)
	{
		leaf_divide(index, parent, leaf);
		return;
	}
	vk_page_release(leaf);
	vk_page_release(parent);
}

/* ------------------------------------------------------------------------
 * Walks
 * ------------------------------------------------------------------------ */

/*
 * Visits the leaves below an inner page, slot by slot.  A leaf that was
 * visited covers all slots that agree with its depth at that time.  If it had
 * divided by then, the slots of its other half are not covered, and their
 * child is read anew: no leaf is missed.  If it divides later, both halves
 * have been seen.
 */
static void
walk_inner(VkIndex *index, BlockNumber block, uint32 level, int lock,
		   VkLeafVisitor visit, void *arg)
{
	bool	   *covered = palloc0(sizeof(bool) * VK_DIR_SLOTS);

	for (int slot = 0; slot < VK_DIR_SLOTS; slot++)
	{
		Buffer		buffer;
		VkDirInner *inner;
		BlockNumber child;
		uint32		depth;
		bool		is_leaf;

		if (covered[slot])
			continue;
		CHECK_FOR_INTERRUPTS();
		buffer = vk_page_read(index, block, VK_PAGE_DIR_INNER, 0, BUFFER_LOCK_SHARE);
		inner = inner_checked(index, buffer, level);
		level = inner->level;
		child = inner->children[slot];
		vk_page_release(buffer);

		buffer = read_dir_page(index, child, lock, &is_leaf);
		if (!is_leaf)
		{
			vk_page_release(buffer);
			walk_inner(index, child, level + 1, lock, visit, arg);
			continue;
		}
		depth = vk_dir_header(index, buffer)->depth;
		if (depth <= level * VK_DIR_BITS || depth > (level + 1) * VK_DIR_BITS)
			vk_report_corruption(index->rel, child,
								 "The directory leaf has depth %u below level %u.", depth, level);
		visit(index, buffer, arg);
		vk_page_release(buffer);
		for (int same = slot; same < VK_DIR_SLOTS;
			 same += 1 << (depth - level * VK_DIR_BITS))
			covered[same] = true;
	}
	pfree(covered);
}

/*
 * Calls visit for every leaf, locked; it must leave pin and lock as they are.
 * Every split that existed when the walk began is met, perhaps twice.
 */
void
vk_dir_walk(VkIndex *index, int lock, VkLeafVisitor visit, void *arg)
{
	bool		is_leaf;
	Buffer		buffer = read_dir_page(index, VK_DIR_ROOT_BLOCK, lock, &is_leaf);

	if (is_leaf)
	{
		visit(index, buffer, arg);
		vk_page_release(buffer);
		return;
	}
	vk_page_release(buffer);
	walk_inner(index, VK_DIR_ROOT_BLOCK, 0, lock, visit, arg);
}

/* ------------------------------------------------------------------------
 * Matching
 * ------------------------------------------------------------------------ */

typedef struct MatchState
{
	const VkConditions *conditions;
	VkMatches  *matches;
} MatchState;

static void
add_match(VkMatches *matches, const VkSplitEntry *entry)
{
	VkSplitMatch *match;

	if (matches->count == matches->allocated)
	{
		matches->allocated = Max(8, matches->allocated * 2);
		if (matches->items == NULL)
			matches->items = palloc(sizeof(VkSplitMatch) * matches->allocated);
		else
			matches->items = repalloc_huge(matches->items,
										   sizeof(VkSplitMatch) * matches->allocated);
	}
	match = &matches->items[matches->count++];
	match->split_id = entry->split_id;
	match->head = entry->head;
	match->nulls = entry->nulls;
	match->nshared = entry->nshared;
	memcpy(match->shared, entry->shared, sizeof(match->shared));
	matches->nshared += entry->nshared;
}

static void
match_leaf(VkIndex *index, Buffer leaf, void *arg)
{
	MatchState *state = arg;
	OffsetNumber last = PageGetMaxOffsetNumber(BufferGetPage(leaf));

	for (OffsetNumber offset = FirstOffsetNumber + 1; offset <= last; offset++)
	{
		VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);

		if (vk_conditions_match(index, state->conditions, entry))
			add_match(state->matches, entry);
	}
}

/* Like match_leaf, for one hash. */
static void
match_hash(VkIndex *index, uint64 hash, MatchState *state)
{
	Buffer		leaf = vk_dir_leaf(index, hash, BUFFER_LOCK_SHARE);
	OffsetNumber last = PageGetMaxOffsetNumber(BufferGetPage(leaf));

	for (OffsetNumber offset = FirstOffsetNumber + 1; offset <= last; offset++)
	{
		VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);

		if (entry->hash == hash && vk_conditions_match(index, state->conditions, entry))
			add_match(state->matches, entry);
	}
	vk_page_release(leaf);
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

/*
 * Finds all splits that satisfy the conditions, in no particular order.  One
 * whose leaf divides meanwhile may come twice.
 * The result lives in the current context.
 */
void
vk_dir_match(VkIndex *index, const VkConditions *conditions, VkMatches *matches)
{
	MatchState	state = {conditions, matches};
	double		nkeys = vk_conditions_keys(conditions);
	uint64	   *hashes;

	memset(matches, 0, sizeof(*matches));
	if (conditions->impossible)
		return;
	if (nkeys < 0)
	{
		vk_dir_walk(index, BUFFER_LOCK_SHARE, match_leaf, &state);
		return;
	}
	hashes = palloc(sizeof(uint64) * ((Size) nkeys + 1));
	for (int64 i = 0; i < (int64) nkeys; i++)
		hashes[i] = vk_conditions_hash(conditions, i);
	qsort(hashes, (size_t) nkeys, sizeof(uint64), compare_hashes);
	for (int64 i = 0; i < (int64) nkeys; i++)
		if (i == 0 || hashes[i] != hashes[i - 1])
			match_hash(index, hashes[i], &state);
	pfree(hashes);
}
