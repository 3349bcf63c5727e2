/*
 * kernel_int8_test.c: the integer kernels are exact at every length 1..2000,
 * with extreme values, at the greatest length, and read nothing behind the arrays.
 *
 * LINKS: src/distance/kernel_choose.o src/distance/kernel_portable.o src/distance/kernel_sparse.o
 * LINKS: src/distance/kernel_avx2.o src/distance/kernel_avx512.o src/distance/kernel_neon.o
 * LINKS: src/distance/kernel_avx512vnni.o
 */
#include "postgres.h"

#include "check.h"
#include "distance/kernel.h"

#define MAX_LENGTH	32768

static void
check_arrays(const VkKernels *kernels, const uint8 *a, const uint8 *b, int n)
{
	const int8 *signed_a = (const int8 *) a;
	const int8 *signed_b = (const int8 *) b;
	int64		dot_i8 = 0;
	int64		dot_u8i8 = 0;
	int64		l1 = 0;
	int64		l2_squared = 0;

	for (int i = 0; i < n; i++)
	{
		int			diff = a[i] - b[i];

		dot_i8 += signed_a[i] * signed_b[i];
		dot_u8i8 += a[i] * signed_b[i];
		l1 += abs(diff);
		l2_squared += diff * diff;
	}
	CHECK(kernels->int8.dot_i8(signed_a, signed_b, n) == dot_i8, "%s %d", kernels->name, n);
	CHECK(kernels->int8.dot_u8i8(a, signed_b, n) == dot_u8i8, "%s %d", kernels->name, n);
	CHECK(kernels->int8.l1_u8(a, b, n) == l1, "%s %d", kernels->name, n);
	CHECK(kernels->int8.l2_squared_u8(a, b, n) == l2_squared, "%s %d", kernels->name, n);
}

int
main(void)
{
	uint8	   *end_a = (uint8 *) guarded_alloc(MAX_LENGTH) + MAX_LENGTH;
	uint8	   *end_b = (uint8 *) guarded_alloc(MAX_LENGTH) + MAX_LENGTH;

	for (int choice = VK_KERNEL_PORTABLE; choice < VK_NUM_KERNEL_CHOICES; choice++)
	{
		const VkKernels *kernels = vk_kernels_get(choice);

		if (kernels == NULL)
			continue;
		for (int n = 1; n <= 2000; n++)
		{
			/* Ending at the guard page, and misaligned to each other. */
			for (int misalign = 0; misalign < 2; misalign++)
			{
				uint8	   *a = end_a - n - misalign * random_below(64);
				uint8	   *b = end_b - n - misalign * random_below(64);

				for (int i = 0; i < n; i++)
				{
					a[i] = random_bits() >> 56;
					b[i] = random_bits() >> 56;
				}
				check_arrays(kernels, a, b, n);
			}
		}

		/*
		 * The extremes: 255 and -128, 127, 0 against each other, at full
		 * length.
		 */
		for (int pair = 0; pair < 16; pair++)
		{
			static const uint8 extremes[] = {0, 127, 128, 255};

			memset(end_a - MAX_LENGTH, extremes[pair / 4], MAX_LENGTH);
			memset(end_b - MAX_LENGTH, extremes[pair % 4], MAX_LENGTH);
			check_arrays(kernels, end_a - MAX_LENGTH, end_b - MAX_LENGTH, MAX_LENGTH);
		}
	}
	return 0;
}
