/*-------------------------------------------------------------------------
 *
 * typmod.h
 *	  The type modifier of all three types: the number of dimensions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_TYPMOD_H
#define VK_TYPMOD_H

#include "types/types.h"
#include "utils/array.h"

extern int32 vk_typmod_read(ArrayType *modifiers, VkElem elem, int max_dim);

#endif							/* VK_TYPMOD_H */
