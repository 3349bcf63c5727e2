/*-------------------------------------------------------------------------
 *
 * report.h
 *	  Errors of the types, private to src/types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_REPORT_H
#define VK_REPORT_H

#include "nodes/nodes.h"
#include "compat/pgcompat.h"
#include "types/readerr.h"
#include "types/types.h"

/*
 * Raise what a reader found.  For a literal the error may be a soft one: then
 * this returns a null datum, which the input function has to return at once.
 */
extern Datum vk_report_text(const VkReadError *error, VkElem elem,
							const char *literal, Node *escontext);
pg_noreturn extern void vk_report_wire(const VkReadError *error, VkElem elem);

pg_noreturn extern void vk_report_not_finite(VkElem elem, float value, int i);
pg_noreturn extern void vk_report_half_range(float value, int i);
pg_noreturn extern void vk_report_overflow(int i);
pg_noreturn extern void vk_report_underflow(int i);
extern void vk_check_nnz(int64 nnz, int dim);

/* Element i (from 0) of a new value of type elem must be finite. */
static inline void
vk_check_finite(VkElem elem, float value, int i)
{
	if (unlikely(!vk_float_is_finite(value)))
		vk_report_not_finite(elem, value, i);
}

/* Rounds a finite value that must not overflow. */
static inline VkHalf
vk_narrow_half(float value, int i)
{
	VkHalf		half = vk_float_to_half(value);

	if (unlikely(!vk_half_is_finite(half)))
		vk_report_half_range(value, i);
	return half;
}

#endif							/* VK_REPORT_H */
