/*-------------------------------------------------------------------------
 *
 * readerr.h
 *	  What the readers of text and binary input say about malformed input.
 *
 * Readers return false and fill a VkReadError; they never raise.  report.c
 * turns it into an ereport.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_READERR_H
#define VK_READERR_H

#include <stdbool.h>
#include <stddef.h>

#include "types/elem.h"

typedef enum VkReadCode
{
	VK_READ_SYNTAX,				/* not of the form the type has */
	VK_READ_OUT_OF_RANGE,		/* token is a number, too large for the
								 * element */
	VK_READ_NAN,
	VK_READ_INFINITE,
	VK_READ_NO_DIM,				/* value dimensions, less than one */
	VK_READ_DIM_LIMIT,			/* value dimensions, more than limit */
	VK_READ_DIM_EXPECTED,		/* value dimensions where the typmod says
								 * limit */
	VK_READ_NNZ_NEGATIVE,		/* value non-zeros */
	VK_READ_NNZ_LIMIT,			/* value non-zeros, more than limit */
	VK_READ_NNZ_ABOVE_DIM,		/* value non-zeros, more than limit dimensions */
	VK_READ_INDEX_BOUNDS,		/* index value (as the user counts) outside
								 * 1..limit */
	VK_READ_INDEX_ORDER,
	VK_READ_INDEX_DUPLICATE,
	VK_READ_ZERO,				/* a zero among the non-zeros of a message */
	VK_READ_UNUSED,				/* the reserved field holds value */
	VK_READ_SHORT				/* the message ends too early */
} VkReadCode;

typedef struct VkReadError
{
	VkReadCode	code;
	const char *why;			/* SYNTAX: what was expected, static text */
	int			element;		/* the element concerned from 1, or 0 */
	size_t		position;		/* where from 1: character or byte; 0: nowhere */
	const char *token;			/* text: the offending part, not terminated */
	size_t		token_len;
	int64_t		value;			/* see VkReadCode */
	int64_t		limit;
} VkReadError;

#endif							/* VK_READERR_H */
