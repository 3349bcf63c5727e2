/*-------------------------------------------------------------------------
 *
 * knn_filter.h
 *	  The filter of vektonn.knn.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_KNN_FILTER_H
#define VK_KNN_FILTER_H

#include "access/skey.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

extern char *vk_knn_column_name(Relation heap, Relation rel, int column);
extern ScanKey vk_knn_filter(Relation heap, Relation rel, Jsonb *filter, int *nkeys);

#endif							/* VK_KNN_FILTER_H */
