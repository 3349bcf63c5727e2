/*-------------------------------------------------------------------------
 *
 * sparse.h
 *	  Private to src/am/sparse: what its files share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_SPARSE_H
#define VK_SPARSE_H

#include "am/sparse/sparse_page.h"

/* A segment or log of which more than this part is dead is written anew. */
#define VK_SPARSE_DEAD_PART		5

/*
 * Records of which more than this part of the pages is waste are written
 * anew.  Records on one page waste up to a fifth of it, see VK_SPARSE_SPAN.
 */
#define VK_SPARSE_WASTE_PART	4

/*
 * An insert merges at most as much as so many full logs: it makes three more
 * levels of segments, each four times as large as the one before, and leaves
 * larger ones to VACUUM.
 */
#define VK_SPARSE_MERGE_LOGS	24

/* Where VACUUM does not come, and there are so many segments, twice as much, and so on. */
#define VK_SPARSE_MANY_SEGMENTS	32

/* Whatever part of a split they are, so many rows may become one segment. */
#define VK_SPARSE_MERGE_ROWS	4096

/* A log this many times shorter than its limit is made a segment by VACUUM. */
#define VK_SPARSE_VACUUM_PART	4

/* Records longer than this may lie on more than one page. */
#define VK_SPARSE_SPAN			2000

/*
 * Records looked at between two checks for interrupts, which have no effect
 * while a page is locked.
 */
#define VK_SPARSE_INTERRUPT		64

/* sparse_head.c */

/* What a reader needs of a split, read at one moment. */
typedef struct VkSparseView
{
	VkSparseLog open;
	VkSparseLog sealed;
	VkSparseLog retired;
	uint32		next_number;
	int			count;
	VkSparseSegment *segments;	/* palloc'd; all states */
	int			head_count;		/* the first of them are those of the head
								 * page */
} VkSparseView;

extern BlockNumber vk_sparse_create(VkIndex *index, uint32 split_id);
extern bool vk_sparse_head_view(VkIndex *index, VkStoreRef ref, VkSparseView *view);
extern Buffer vk_sparse_head_lock(VkIndex *index, VkStoreRef ref, VkSparseHead **head);
extern Buffer vk_sparse_page_try(VkIndex *index, BlockNumber block, int kind,
								 uint32 split_id, uint32 number, int lock);
extern void vk_sparse_page_limits(VkIndex *index, Buffer buffer, Size begin, Size end);
pg_noreturn extern void vk_sparse_report_gone(VkIndex *index, VkStoreRef ref, uint32 number);
extern VkSparseSegment *vk_sparse_find_segment(VkSparseHead *head, uint32 number);
extern void vk_sparse_make_room(VkIndex *index, VkStoreRef ref);
extern void vk_sparse_segment_update(VkIndex *index, VkStoreRef ref,
									 const VkSparseSegment *segment);
extern bool vk_sparse_retire(VkIndex *index, VkStoreRef ref, struct VkEdit *edit,
							 VkBlockList *blocks);
extern void vk_sparse_stats(VkIndex *index, VkStoreRef ref, VkStoreStats *stats);

/* sparse_read.c */

/*
 * A record under inspection: in its page, which is then locked, or copied
 * together.  One after another may be fetched; release at the end.
 */
typedef struct VkSparseFetch
{
	VkIndex    *index;
	uint32		split_id;
	uint32		log;			/* the pages bear this number; 0: any */
	uint32		stamp;			/* nor a later stamp than this */
	Buffer		buffer;
	BlockNumber block;			/* of buffer */
	char	   *copy;			/* of a record on several pages */
	Size		copy_size;
	const VkSparseRecord *record;
	BlockNumber end_block;		/* page on which the record ends */
	VkSparse	vec;			/* of record, once decoded */
	int32	   *indices;
	int64		pages;			/* accessed so far */
} VkSparseFetch;

typedef enum VkFetchResult
{
	VK_FETCH_OK,
	VK_FETCH_GONE,				/* the page is of another segment by now */
	VK_FETCH_INCOMPLETE			/* in a log: the record's end was never
								 * written */
} VkFetchResult;

extern void vk_sparse_fetch_init(VkSparseFetch *fetch, VkIndex *index, uint32 split_id);
extern VkFetchResult vk_sparse_fetch(VkSparseFetch *fetch, BlockNumber block, int offset);
extern void vk_sparse_fetch_decode(VkSparseFetch *fetch);
extern void vk_sparse_fetch_release(VkSparseFetch *fetch);
extern void vk_sparse_fetch_free(VkSparseFetch *fetch);

/* Walks the records of a log; the state is in fetch, and where it is. */
typedef struct VkSparseLogScan
{
	VkSparseFetch fetch;
	BlockNumber block;
	BlockNumber visited;		/* pages, against chains that bite their tail */
	BlockNumber expected;
	int			item;			/* records of the page passed */
	int			at;				/* where the present record is */
	int			offset;			/* where the next one is */
} VkSparseLogScan;

typedef enum VkLogResult
{
	VK_LOG_RECORD,				/* fetch.record is the next one, not dead */
	VK_LOG_END,
	VK_LOG_GONE
} VkLogResult;

extern void vk_sparse_log_begin(VkSparseLogScan *scan, VkIndex *index, uint32 split_id,
								const VkSparseLog *log);
extern VkLogResult vk_sparse_log_next(VkSparseLogScan *scan);
extern void vk_sparse_log_end(VkSparseLogScan *scan);

/* An open segment. */
typedef struct VkSparseReader
{
	VkIndex    *index;
	uint32		split_id;
	uint32		number;
	VkSparseRoot root;
	Buffer		documents;		/* DOCUMENTS page read last, locked */
	int			documents_page; /* which it is; -1: none */
	Buffer		terms;			/* TERMS page read last, locked */
	BlockNumber terms_block;
	PGAlignedBlock inner[VK_SPARSE_MAX_LEVELS]; /* copies, from the root down */
	BlockNumber inner_blocks[VK_SPARSE_MAX_LEVELS];
	VkSparseFetch fetch;
	int64		pages;
} VkSparseReader;

/* A posting list found in a segment. */
typedef struct VkSparsePostings
{
	VkSparseListHead head;
	int			count;
	const char *postings;		/* in the locked TERMS page, or NULL: in
								 * chunks */
	int			nchunks;
	VkSparseChunk chunks[VK_SPARSE_MAX_CHUNKS];
	bool		is_single;
	struct
	{
		uint16		document;
		uint8		code;
	}			single;			/* postings then */
} VkSparsePostings;

extern bool vk_sparse_reader_open(VkSparseReader *reader, VkIndex *index, uint32 split_id,
								  const VkSparseSegment *segment);
extern void vk_sparse_reader_release(VkSparseReader *reader);
extern void vk_sparse_reader_close(VkSparseReader *reader);
extern bool vk_sparse_reader_document(VkSparseReader *reader, uint32 document,
									  VkSparseDocument *out);
extern bool vk_sparse_reader_record(VkSparseReader *reader, const VkSparseDocument *document);
extern bool vk_sparse_reader_norms(VkSparseReader *reader, int page, float *norms, int *count);

typedef enum VkTermResult
{
	VK_TERM_FOUND,
	VK_TERM_ABSENT,
	VK_TERM_GONE
} VkTermResult;

extern VkTermResult vk_sparse_reader_term(VkSparseReader *reader, uint32 term,
										  VkSparsePostings *list);
extern void vk_sparse_read_list(VkIndex *index, Buffer buffer, const VkSparseSlot *slot,
								VkSparsePostings *list);
extern void vk_sparse_reader_touch_term(VkSparseReader *reader, uint32 term);
extern void vk_sparse_reader_touch_document(VkSparseReader *reader, uint32 document);
extern void vk_sparse_reader_terms_release(VkSparseReader *reader);
extern Buffer vk_sparse_reader_chunk(VkSparseReader *reader, const VkSparseChunk *chunk,
									 const uint16 **offsets, const uint8 **codes);

/* sparse_log.c */
extern uint32 vk_sparse_log_pages(void);
extern int64 vk_sparse_append(VkIndex *index, VkStoreRef ref, ItemPointer tid,
							  const VkSparsevec *vec);
extern bool vk_sparse_insert(VkIndex *index, VkStoreRef ref, ItemPointer tid,
							 const struct varlena *value);

/* sparse_build.c: writes one segment */
typedef struct VkSparseBuilder VkSparseBuilder;

extern VkSparseBuilder *vk_sparse_builder_begin(VkIndex *index, VkStoreRef ref, Size memory);
extern void vk_sparse_builder_add(VkSparseBuilder *builder, const ItemPointerData * tid,
								  const VkSparse *vec);
extern void vk_sparse_builder_adopt(VkSparseBuilder *builder, const VkSparseRecord *record,
									BlockNumber block, int offset, const VkSparse *vec);
extern void vk_sparse_builder_adopt_page(VkSparseBuilder *builder, BlockNumber block);
extern bool vk_sparse_builder_full(VkSparseBuilder *builder);
extern void vk_sparse_builder_finish(VkSparseBuilder *builder, VkSparseSegment *segment);

/* sparse_merge.c.  The merge lock keeps all but inserts and searches out. */

/* Which segments become one. */
typedef struct VkMergePolicy
{
	int			fanin;			/* so many, with what they join */
	int			larger;			/* each at most so many times as large as what
								 * it joins */
	bool		bounded;		/* no more than VK_SPARSE_MERGE_LOGS */
	int			part;			/* no more than one in so many of the split's
								 * rows, for the space it takes meanwhile */
} VkMergePolicy;

extern const VkMergePolicy vk_sparse_insert_policy;
extern const VkMergePolicy vk_sparse_vacuum_policy; /* fewer segments, more
													 * copying */

extern BlockNumber *vk_sparse_read_blocks(VkIndex *index, VkStoreRef ref, BlockNumber block,
										  int kind, uint32 number, int *count,
										  BlockNumber *next);
extern bool vk_sparse_is_wasteful(const VkSparseSegment *segment);
extern void vk_sparse_merge_lock(VkIndex *index, VkStoreRef ref);
extern bool vk_sparse_merge_try_lock(VkIndex *index, VkStoreRef ref);
extern void vk_sparse_merge_unlock(VkIndex *index, VkStoreRef ref);
extern void vk_sparse_merge_log(VkIndex *index, VkStoreRef ref, VkMergePolicy policy);
extern bool vk_sparse_merge_segments(VkIndex *index, VkStoreRef ref,
									 VkMergePolicy policy);
extern void vk_sparse_merge_compact(VkIndex *index, VkStoreRef ref);
extern void vk_sparse_merge_cleanup(VkIndex *index, VkStoreRef ref);

/* sparse_bulk.c */
extern void vk_sparse_bulk_insert(VkIndex *index, VkStoreRef ref, ItemPointer tid,
								  const VkSparsevec *vec);
extern void vk_sparse_build_done(VkIndex *index);

/* sparse_scan.c */
extern void vk_sparse_collect(VkScan *scan, VkStoreRef ref);

/* sparse_vacuum.c */
extern void vk_sparse_vacuum(VkVacuum *vacuum, VkStoreRef ref);
extern void vk_sparse_tidy(VkIndex *index, VkStoreRef ref);

/* sparse_check.c */
extern void vk_sparse_check(VkIndex *index, VkStoreRef ref, VkCheck *check);

#endif							/* VK_SPARSE_H */
