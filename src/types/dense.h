/*-------------------------------------------------------------------------
 *
 * dense.h
 *	  Element access for the dense types, and their SQL functions per type.
 *
 * Function bodies take the element type as an argument that is a constant
 * after inlining, so that one body compiles to straight code per type.
 * VkVector stands for every dense type here: only the elements differ.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_DENSE_H
#define VK_DENSE_H

#include "types/report.h"

static pg_attribute_always_inline size_t
vk_dense_width(VkElem elem)
{
	switch (elem)
	{
#define VK_DENSE_ELEM(id, name, ctype, widen, narrow) case id: return sizeof(ctype);
#include "types/elem.def"
		default:
			pg_unreachable();
	}
}

static pg_attribute_always_inline size_t
vk_dense_size(VkElem elem, int dim)
{
	return offsetof(VkVector, x) + vk_dense_width(elem) * dim;
}

static pg_attribute_always_inline float
vk_dense_get(VkElem elem, const VkVector *vec, int i)
{
	switch (elem)
	{
#define VK_DENSE_ELEM(id, name, ctype, widen, narrow) \
		case id: return widen(((const ctype *) vec->x)[i]);
#include "types/elem.def"
		default:
			pg_unreachable();
	}
}

/* Stores the nearest element; what overflows becomes infinite. */
static pg_attribute_always_inline void
vk_dense_put(VkElem elem, VkVector *vec, int i, float value)
{
	switch (elem)
	{
#define VK_DENSE_ELEM(id, name, ctype, widen, narrow) \
		case id: ((ctype *) vec->x)[i] = narrow(value); break;
#include "types/elem.def"
		default:
			pg_unreachable();
	}
}

/* Stores a value that came from a user: it must fit. */
static pg_attribute_always_inline void
vk_dense_put_checked(VkElem elem, VkVector *vec, int i, float value)
{
	vk_check_finite(elem, value, i);
	if (elem == VK_ELEM_FLOAT2)
		((VkHalf *) vec->x)[i] = vk_narrow_half(value, i);
	else
		vk_dense_put(elem, vec, i, value);
}

/* Defines the SQL-callable vk_<type>_<verb> of one element type. */
#define VK_DENSE_FUNCTION(name, id, verb) \
	PG_FUNCTION_INFO_V1(vk_##name##_##verb); \
	Datum vk_##name##_##verb(PG_FUNCTION_ARGS) \
	{ \
		return dense_##verb(fcinfo, id); \
	}

#endif							/* VK_DENSE_H */
