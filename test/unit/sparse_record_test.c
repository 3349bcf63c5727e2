/*
 * sparse_record_test.c: forward records of the inverted index
 *
 * - decode to the vector they were made of, for any gaps and any size;
 * - take the bytes vk_sparse_record_size() says, never more than plain ones;
 * - damaged in any bit are either found out or decode to an ascending list of
 *   indices below the dimension, without a byte read out of place.
 *
 * LINKS: src/am/sparse/sparse_record.o
 */
#include "postgres.h"

#include "am/sparse/sparse_record.h"
#include "check.h"

#define HOLDS(condition) CHECK(condition, "does not hold")

static int32 indices[VK_SPARSE_MAX_NNZ];
static float values[VK_SPARSE_MAX_NNZ];
static int32 decoded[VK_SPARSE_MAX_NNZ];

static void
draw_vector(VkSparse *vec, int most, int spread)
{
	int64		index = rand() % spread;

	vec->nnz = 0;
	vec->indices = indices;
	vec->values = values;
	while (vec->nnz < most && index < VK_SPARSE_MAX_DIM)
	{
		indices[vec->nnz] = index;
		values[vec->nnz++] = rand() - 1000.5f;
		index += 1 + rand() % spread;
	}
}

static VkSparseRecord *
encode(const VkSparse *vec, int32 dim)
{
	ItemPointerData tid;
	uint32		size = vk_sparse_record_size(vec);
	char	   *bytes = malloc(size);

	/* Exactly the size: a tool that watches memory sees reads behind it. */
	ItemPointerSet(&tid, 7, 3);
	vk_sparse_record_encode(vec, dim, &tid, bytes);
	HOLDS(((VkSparseRecord *) bytes)->length == size);
	HOLDS(size <= sizeof(VkSparseRecord) + 8 * vec->nnz);
	return (VkSparseRecord *) bytes;
}

static void
test_round_trip(void)
{
	static const int spreads[] = {1, 2, 1000, 65534, 65535, 65536, 65537, 1000000, 999999999};
	static const int sizes[] = {0, 1, 2, 3, 92, 1000, VK_SPARSE_MAX_NNZ};

	for (int s = 0; s < (int) lengthof(spreads); s++)
	{
		for (int n = 0; n < (int) lengthof(sizes); n++)
		{
			VkSparse	vec;
			VkSparse	back;
			VkSparseRecord *record;

			draw_vector(&vec, sizes[n], spreads[s]);
			record = encode(&vec, VK_SPARSE_MAX_DIM);
			HOLDS(vk_sparse_record_check(record, record->length) == NULL);
			HOLDS(vk_sparse_record_check(record, record->length - 1) != NULL);
			HOLDS(vk_sparse_record_decode(record, decoded, &back) == NULL);
			HOLDS(back.nnz == vec.nnz);
			HOLDS(memcmp(back.indices, vec.indices, 4 * vec.nnz) == 0);
			HOLDS(memcmp(back.values, vec.values, 4 * vec.nnz) == 0);
			HOLDS(ItemPointerGetBlockNumber(&record->tid) == 7);
			free(record);
		}
	}
}

static void
test_damage(void)
{
	for (int round = 0; round < 20000; round++)
	{
		VkSparse	vec;
		VkSparse	back;
		VkSparseRecord *record;
		uint32		length;
		uint32		bit;

		draw_vector(&vec, rand() % 40, round % 2 ? 1000 : 100000);
		record = encode(&vec, vec.nnz == 0 ? 1 : indices[vec.nnz - 1] + 1);
		length = record->length;
		bit = rand() % (length * 8);
		((unsigned char *) record)[bit / 8] ^= 1 << bit % 8;
		if (vk_sparse_record_check(record, length) == NULL &&
			vk_sparse_record_decode(record, decoded, &back) == NULL)
		{
			HOLDS(back.nnz <= VK_SPARSE_MAX_NNZ);
			for (int i = 0; i < back.nnz; i++)
				HOLDS(back.indices[i] < record->dim &&
					  back.indices[i] > (i == 0 ? -1 : back.indices[i - 1]));
		}
		free(record);
	}
}

int
main(void)
{
	test_round_trip();
	test_damage();
	printf("sparse_record_test: ok\n");
	return 0;
}
