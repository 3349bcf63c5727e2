/*-------------------------------------------------------------------------
 *
 * am_batch.h
 *	  Reading the rows of an index once for many queries.
 *
 * PUBLIC header of src/am, for src/batch.  Rows come by the block, in one of
 * two forms: with their elements, or as a *sketch*, a shorter vector of floats
 * that stands for the row, and the place where its elements are.
 *
 * Sketches of the Euclidean distance (and the cosine, of normalised vectors):
 *		|q - x| >= sqrt(shrink) |q' - x'| - error of q - error of x
 * and of the inner product
 *		<q, x> <= <q', x'> + constant + of_error * error of x + of_norm * |x'|
 * where q' and x' are the floats of the points, taken as exact.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_AM_BATCH_H
#define VK_AM_BATCH_H

#include "access/skey.h"
#include "am/am.h"

/* Where a sketched row's elements are. */
typedef struct VkRowPlace
{
	uint32		split_id;
	BlockNumber group;
	BlockNumber blocks[2];		/* row pages, if they are no more than two */
	uint16		slot;
} VkRowPlace;

/* Rows with their elements, row_bytes each without gaps. */
typedef struct VkRawRows
{
	int			count;
	int			capacity;		/* at least VK_RAW_ROWS_MIN(row_bytes) */
	uint64	   *tids;
	char	   *elements;
} VkRawRows;

/* So many begin on one page. */
#define VK_RAW_ROWS_MIN(row_bytes)	(BLCKSZ / (row_bytes) + 2)

typedef struct VkSketchRows
{
	int			width;			/* floats per point; 0: rows come with their
								 * elements */
	uint16		codec;			/* the store's own: which kind of sketch */
	double		shrink;
	int			count;
	int			capacity;		/* at least VK_SKETCH_ROWS_MIN */
	uint64	   *tids;
	float	   *points;
	float	   *errors;			/* may be infinite: nothing is known of the
								 * row */
	VkRowPlace *places;
} VkSketchRows;

/* No group has more. */
#define VK_SKETCH_ROWS_MIN	256

/*
 * What takes the rows.  flush functions process all rows and set count to 0;
 * the reader holds no lock then.
 */
typedef struct VkRowSink VkRowSink;
struct VkRowSink
{
	VkRawRows	raw;
	VkSketchRows sketches;
	void		(*flush_raw) (VkRowSink *sink);
	void		(*flush_sketches) (VkRowSink *sink);
};

typedef struct VkSketchQuery
{
	bool		usable;			/* else no bounds for this query */
	double		error;
	double		constant;		/* these for the inner product */
	double		of_error;
	double		of_norm;
} VkSketchQuery;

/* Of a store that can be searched for many queries at once. */
struct VkBatchOps
{
	/* Whether bounds of this metric's distances exist. */
	bool		(*has_bounds) (VkMetric metric);

	/*
	 * A lower bound of the distance (of the normalised vectors, for the
	 * cosine; of the negative product) beyond this proves that vk_distance()
	 * exceeds threshold.
	 */
	double		(*prune_limit) (const VkIndexInfo *info, double threshold);

	/* Relative error of sums of dim terms in float, as the kernels make them. */
	double		(*float_error) (int dim);

	/* Fills width, codec and shrink; width 0 if the index has no sketches. */
	void		(*describe) (VkIndex *index, VkSketchRows *sketches);

	/* The sketch of a query; point has room for width floats. */
	void		(*query) (VkIndex *index, const VkSketchRows *sketches, const void *elements,
						  float *point, VkSketchQuery *query);

	/* Gives all rows of a split to the sink. */
	void		(*read) (VkScan *scan, VkStoreRef ref, VkRowSink *sink);

	/*
	 * The elements of a sketched row into row (row_bytes); false if it was
	 * vacuumed meanwhile.
	 */
	bool		(*fetch) (VkIndex *index, const VkRowPlace *place, uint64 tid, char *row);
};

/*
 * am_scan.c: gives all rows of the splits that satisfy the keys to the sink,
 * but those whose vector is NULL.  Some may come twice, see README.md; dead
 * ones as well.  What remains in the sink at the end has not been flushed.
 */
extern void vk_read_rows(VkIndex *index, ScanKey keys, int nkeys, VkRowSink *sink);

#endif							/* VK_AM_BATCH_H */
