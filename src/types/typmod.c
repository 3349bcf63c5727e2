/*-------------------------------------------------------------------------
 *
 * typmod.c
 *	  The type modifier of all three types: the number of dimensions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "types/typmod.h"

/* The one integer in the parentheses of a type name, checked. */
int32
vk_typmod_read(ArrayType *modifiers, VkElem elem, int max_dim)
{
	int			count;
	int32	   *values = ArrayGetIntegerTypmods(modifiers, &count);

	if (count != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid type modifier"),
				 errdetail("Type %s takes one modifier, the number of dimensions; %d were given.",
						   vk_elem_name(elem), count)));
	if (values[0] < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type %s must be at least 1", vk_elem_name(elem)),
				 errdetail("The number given is %d.", values[0])));
	if (values[0] > max_dim)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type %s cannot exceed %d", vk_elem_name(elem), max_dim),
				 errdetail("The number given is %d.", values[0])));
	return values[0];
}
