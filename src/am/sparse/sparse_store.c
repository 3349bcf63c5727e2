/*-------------------------------------------------------------------------
 *
 * sparse_store.c
 *	  The inverted index as a store of the access method, and its cost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/sparse/sparse.h"

/*
 * Measured on TF-IDF vectors of 92 elements: a search takes a start, some
 * time per row, for its scores and postings, and some per row compared.
 */
#define SECONDS_PER_SEARCH		1e-5
#define SECONDS_PER_SCORE		3e-9
#define SECONDS_PER_COMPARED	7e-7

/* Postings a page has room for, and documents that may have one. */
#define ROWS_PER_PAGE			200.0

int			vk_sparse_log_limit = 256;

static void
sparse_cost(const VkIndexInfo *info, double rows, double k, double *seconds, double *pages)
{
	double		compared = Min(rows, 2 * k);

	*seconds = SECONDS_PER_SEARCH + rows * SECONDS_PER_SCORE + compared * SECONDS_PER_COMPARED;
	*pages = 4 + rows / ROWS_PER_PAGE + compared;
}

const VkStoreOps vk_sparse_store = {
	.name = "sparse",
	.approximate = false,
	.create = vk_sparse_create,
	.insert = vk_sparse_insert,
	.build_done = vk_sparse_build_done,
	.collect = vk_sparse_collect,
	.vacuum = vk_sparse_vacuum,
	.tidy = vk_sparse_tidy,
	.retire = vk_sparse_retire,
	.stats = vk_sparse_stats,
	.check = vk_sparse_check,
	.cost = sparse_cost,
};
