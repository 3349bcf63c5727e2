/*-------------------------------------------------------------------------
 *
 * distance_sql.c
 *	  The SQL functions of the distances: arguments, dimensions, results.
 *
 * No arithmetic of its own but signs and the angle: everything comes from
 * metric.c, and so has the bits an index orders by; only what is beyond the
 * range of float becomes infinity, as in pgvector.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "distance/distance.h"

/* Both arguments of a function, detoasted, of equal dimension. */
typedef struct VkPair
{
	const void *a;
	const void *b;
} VkPair;

static int
vector_dim(VkElem elem, const void *vec)
{
	return elem == VK_ELEM_SPARSE ? ((const VkSparsevec *) vec)->dim :
		((const VkVector *) vec)->dim;
}

static pg_noinline void
report_dimensions(VkElem elem, int dim_a, int dim_b)
{
	static const char *const type_names[] = {"vector", "halfvec", "sparsevec"};

	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("different %s dimensions %d and %d", type_names[elem], dim_a, dim_b)));
}

static VkPair
get_pair(FunctionCallInfo fcinfo, VkElem elem)
{
	VkPair		pair;

	pair.a = PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
	pair.b = PG_DETOAST_DATUM(PG_GETARG_DATUM(1));
	if (unlikely(vector_dim(elem, pair.a) != vector_dim(elem, pair.b)))
		report_dimensions(elem, vector_dim(elem, pair.a), vector_dim(elem, pair.b));
	return pair;
}

static double
l2_squared(VkElem elem, VkPair pair)
{
	if (elem == VK_ELEM_SPARSE)
	{
		VkSparse	a = vk_sparse_view(pair.a);
		VkSparse	b = vk_sparse_view(pair.b);

		return vk_kernels->sparse.l2_squared(&a, &b);
	}
	return vk_dense_l2_squared(elem, ((const VkVector *) pair.a)->x,
							   ((const VkVector *) pair.b)->x,
							   ((const VkVector *) pair.a)->dim);
}

/* Angle between unit vectors, in half turns. */
static double
spherical_distance(VkElem elem, VkPair pair)
{
	double		cosine = -vk_distance(elem, VK_METRIC_IP, pair.a, pair.b);

	if (cosine > 1.0)
		cosine = 1.0;
	if (cosine < -1.0)
		cosine = -1.0;
	return acos(cosine) / M_PI;
}

#define DISTANCE_FUNCTION(name, elem, result) \
PG_FUNCTION_INFO_V1(name); \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	VkPair		pair = get_pair(fcinfo, elem); \
\
	PG_RETURN_FLOAT8(vk_operator_value(result)); \
}

#define METRIC_FUNCTION(name, elem, metric) \
	DISTANCE_FUNCTION(name, elem, vk_distance(elem, metric, pair.a, pair.b))

#define DISTANCE_FUNCTIONS(type, elem) \
	METRIC_FUNCTION(vk_##type##_l2_distance, elem, VK_METRIC_L2) \
	METRIC_FUNCTION(vk_##type##_negative_inner_product, elem, VK_METRIC_IP) \
	METRIC_FUNCTION(vk_##type##_cosine_distance, elem, VK_METRIC_COSINE) \
	METRIC_FUNCTION(vk_##type##_l1_distance, elem, VK_METRIC_L1) \
	DISTANCE_FUNCTION(vk_##type##_l2_squared_distance, elem, l2_squared(elem, pair)) \
	DISTANCE_FUNCTION(vk_##type##_inner_product, elem, \
					  -vk_distance(elem, VK_METRIC_IP, pair.a, pair.b))

DISTANCE_FUNCTIONS(vector, VK_ELEM_FLOAT4)
DISTANCE_FUNCTIONS(halfvec, VK_ELEM_FLOAT2)
DISTANCE_FUNCTIONS(sparsevec, VK_ELEM_SPARSE)
DISTANCE_FUNCTION(vk_vector_spherical_distance, VK_ELEM_FLOAT4,
				  spherical_distance(VK_ELEM_FLOAT4, pair))
DISTANCE_FUNCTION(vk_halfvec_spherical_distance, VK_ELEM_FLOAT2,
				  spherical_distance(VK_ELEM_FLOAT2, pair))
METRIC_FUNCTION(vk_sparsevec_jaccard_distance, VK_ELEM_SPARSE, VK_METRIC_JACCARD)

PG_FUNCTION_INFO_V1(vk_metrics);

/* vektonn.metrics(): the registry, as rows. */
Datum
vk_metrics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int metric = 0; metric < VK_NUM_METRICS; metric++)
	{
		const VkMetricInfo *info = vk_metric_by_id(metric);
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = CStringGetTextDatum(info->name);
		values[1] = CStringGetTextDatum(info->op);
		values[2] = CStringGetTextDatum(info->title);
		values[3] = BoolGetDatum(info->dense);
		values[4] = BoolGetDatum(info->sparse);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(vk_kernel_name);

/* vektonn.kernel_in_use(): what 'auto' came to. */
Datum
vk_kernel_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(vk_kernels->name));
}
