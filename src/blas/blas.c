/*-------------------------------------------------------------------------
 *
 * blas.c
 *	  Matrix products by OpenBLAS, in the backend's one thread.
 *
 * OpenBLAS starts its threads while it is loaded, unless the environment says
 * one: whoever loads this module sets OPENBLAS_NUM_THREADS before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <cblas.h>

#include "blas/blas.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/* For the variants of OpenBLAS that start threads only when they are needed. */
void
_PG_init(void)
{
	openblas_set_num_threads(1);
}

void
vk_blas_products(const VkBlasMatrix *queries, const VkBlasMatrix *rows, int length,
				 float factor, float *products)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, queries->count, rows->count, length,
				factor, queries->data, queries->stride, rows->data, rows->stride,
				0.0f, products, rows->count);
}
