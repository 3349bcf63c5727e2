/*-------------------------------------------------------------------------
 *
 * graph_kernel_portable.c
 *	  Edge code kernels in plain C: the oracle of the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "am/graph/graph_code.h"

#define SIGN_MASK(v)	sign_mask((const uint32 *) &(v))

static unsigned
sign_mask(const uint32 *v)
{
	unsigned	mask = 0;

	for (int i = 0; i < 16; i++)
		mask |= (v[i] >> 31) << i;
	return mask;
}

#include "am/graph/graph_kernel_template.h"

/*
 * A word is 32 dimensions, 4 bytes of a code.  Its 8 tables stand in the order
 * low nibbles of the 4 bytes, then high nibbles.
 */
static void
fill_tables(const uint8 *coords, const uint8 *negatives, int code_dim, uint8 *tables)
{
	for (int group = 0; group < code_dim / 4; group++)
	{
		const uint8 *c = coords + group * 4;
		const uint8 *n = negatives + group * 4;
		uint8	   *to = tables + (group / 8 * 8 + group % 2 * 4 + group % 8 / 2) * 16;
		uint8		base = n[0] + n[1] + n[2] + n[3];

		for (int v = 0; v < 16; v++)
			to[v] = base + (v & 1 ? c[0] : 0) + (v & 2 ? c[1] : 0) +
				(v & 4 ? c[2] : 0) + (v & 8 ? c[3] : 0);
	}
}

static uint32
estimate(const VkCodeTable *table, const uint8 *codes, const float *bias, const float *scale,
		 float dv, float limit, float *est)
{
	uint32		sums[VK_EDGE_GROUP] = {0};
	int			words = table->code_dim / 32;
	uint32		below = 0;

	for (int word = 0; word < words * table->planes; word++)
	{
		const uint8 *tables = table->tables + word % words * 128;
		const uint8 *line = codes + word * VK_CODE_STRIDE;

		for (int e = 0; e < VK_EDGE_GROUP && word == words; e++)
			sums[e] *= 2;
		for (int e = 0; e < VK_EDGE_GROUP; e++)
		{
			for (int k = 0; k < VK_CODE_PIECE; k++)
			{
				uint8		byte = line[e * VK_CODE_PIECE + k];

				sums[e] += tables[k * 16 + (byte & 15)] + tables[64 + k * 16 + (byte >> 4)];
			}
		}
	}
	for (int e = 0; e < VK_EDGE_GROUP; e++)
	{
		float		sum = (float) sums[e] * table->unit + table->offset;

		est[e] = (dv + bias[e]) - scale[e] * sum;
		if (est[e] < limit)
			below |= (uint32) 1 << e;
	}
	return below;
}

const VkGraphKernels vk_graph_kernels_portable = {
	"portable", rotate, fill_tables, estimate, encode
};
