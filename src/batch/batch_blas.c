/*-------------------------------------------------------------------------
 *
 * batch_blas.c
 *	  Loads vektonn_blas.so, the first time it is needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"

#include "batch/batch_private.h"

VkBlasProducts
vk_batch_products(void)
{
	static VkBlasProducts products = NULL;
	char		path[MAXPGPATH];

	if (products != NULL)
		return products;

	/* vektonn may have been built without it */
	snprintf(path, sizeof(path), "%s/%s%s", pkglib_path, VK_BLAS_MODULE, DLSUFFIX);
	if (access(path, F_OK) != 0)
		return NULL;

	/* a thread in a backend would be a second one that sees its signals */
	if (setenv("OPENBLAS_NUM_THREADS", "1", 1) != 0 || setenv("OMP_NUM_THREADS", "1", 1) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	products = (VkBlasProducts)
		load_external_function("$libdir/" VK_BLAS_MODULE, VK_BLAS_PRODUCTS, true, NULL);
	return products;
}
