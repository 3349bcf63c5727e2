/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  The order of vectors: by elements, then by number of dimensions.
 *
 * As arrays compare: [1] < [1,0] < [1,1] < [2].  A sparsevec has its place
 * where the dense vector of the same elements would have it.  -0 equals 0.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "types/dense.h"

static inline int
compare_ints(int left, int right)
{
	return (left > right) - (left < right);
}

static pg_attribute_always_inline int
dense_compare(FunctionCallInfo fcinfo, VkElem elem)
{
	VkVector   *left = PG_GETARG_VKVECTOR_P(0);
	VkVector   *right = PG_GETARG_VKVECTOR_P(1);
	int			dim = Min(left->dim, right->dim);
	int			result = compare_ints(left->dim, right->dim);

	for (int i = 0; i < dim; i++)
	{
		float		a = vk_dense_get(elem, left, i);
		float		b = vk_dense_get(elem, right, i);

		if (a != b)
		{
			result = a < b ? -1 : 1;
			break;
		}
	}
	/* btree calls this for many pairs in one memory context */
	PG_FREE_IF_COPY(left, 0);
	PG_FREE_IF_COPY(right, 1);
	return result;
}

/* The order of two elements, one of which is an implied zero. */
static inline int
compare_to_zero(float value)
{
	return (value > 0) - (value < 0);
}

static int
compare_sparse(const VkSparsevec *left, const VkSparsevec *right)
{
	const float *left_values = VK_SPARSEVEC_VALUES(left);
	const float *right_values = VK_SPARSEVEC_VALUES(right);
	int			dim = Min(left->dim, right->dim);

	for (int i = 0;; i++)
	{
		/* an exhausted side continues with zeros up to the common dimensions */
		int			left_index = i < left->nnz ? left->indices[i] : dim;
		int			right_index = i < right->nnz ? right->indices[i] : dim;

		if (Min(left_index, right_index) >= dim)
			return compare_ints(left->dim, right->dim);
		if (left_index < right_index)
			return compare_to_zero(left_values[i]);
		if (left_index > right_index)
			return -compare_to_zero(right_values[i]);
		if (left_values[i] != right_values[i])
			return left_values[i] < right_values[i] ? -1 : 1;
	}
}

static pg_attribute_always_inline int
any_compare(FunctionCallInfo fcinfo, VkElem elem)
{
	VkSparsevec *left;
	VkSparsevec *right;
	int			result;

	if (elem != VK_ELEM_SPARSE)
		return dense_compare(fcinfo, elem);
	left = PG_GETARG_VKSPARSEVEC_P(0);
	right = PG_GETARG_VKSPARSEVEC_P(1);
	result = compare_sparse(left, right);
	PG_FREE_IF_COPY(left, 0);
	PG_FREE_IF_COPY(right, 1);
	return result;
}

/* One function per type and operator: vk_<type>_<verb>. */
#define COMPARISON(name, id, verb, operator) \
	PG_FUNCTION_INFO_V1(vk_##name##_##verb); \
	Datum vk_##name##_##verb(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_BOOL(any_compare(fcinfo, id) operator 0); \
	}

#define VK_ELEM(id, name) \
	PG_FUNCTION_INFO_V1(vk_##name##_cmp); \
	Datum vk_##name##_cmp(PG_FUNCTION_ARGS) \
	{ \
		PG_RETURN_INT32(any_compare(fcinfo, id)); \
	} \
	COMPARISON(name, id, lt, <) \
	COMPARISON(name, id, le, <=) \
	COMPARISON(name, id, eq, ==) \
	COMPARISON(name, id, ne, !=) \
	COMPARISON(name, id, ge, >=) \
	COMPARISON(name, id, gt, >)
#include "types/elem.def"
