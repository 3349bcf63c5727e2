/*
 * kernel_dense_test.c: every dense kernel this CPU has
 *
 * - gives the bits of a plain loop that adds up in the order README.md of
 *   src/distance promises, at every length 1..2000, at any alignment, whatever
 *   the values: so all kernels agree, with each other and on every machine;
 * - is as close to a double-precision sum as n * epsilon * sum |terms|;
 * - reads nothing behind the arrays (they end at a guard page).
 *
 * LINKS: src/distance/kernel_choose.o src/distance/kernel_portable.o src/distance/kernel_sparse.o
 * LINKS: src/distance/kernel_avx2.o src/distance/kernel_avx512.o src/distance/kernel_neon.o
 * LINKS: src/distance/kernel_avx512vnni.o
 * LINKS: src/distance/wide.o
 */
#include "postgres.h"

#include "check.h"
#include "distance/kernel.h"
#include "distance/wide.h"

#define LANES			32
#define MAX_LENGTH		2000
#define MAX_MISALIGN	64

typedef enum Term
{
	TERM_L2_SQUARED, TERM_PRODUCT, TERM_L1
} Term;

static const char *const term_names[] = {"l2_squared", "inner_product", "l1"};

/* The values of a vector; what the lengths and alignments are combined with. */
typedef enum Values
{
	VALUES_UNIT, VALUES_EQUAL, VALUES_ZERO, VALUES_DENORMAL, VALUES_HUGE,
	VALUES_MIXED, NUM_VALUES
} Values;

static char *region[2];			/* MAX_LENGTH floats and MAX_MISALIGN bytes,
								 * then a guard page */

static float
value_at(VkElem elem, const void *array, int i)
{
	if (elem == VK_ELEM_FLOAT2)
	{
		VkHalf		half;

		memcpy(&half, (const char *) array + i * sizeof(half), sizeof(half));
		return vk_half_to_float(half);
	}
	else
	{
		float		value;

		memcpy(&value, (const char *) array + i * sizeof(value), sizeof(value));
		return value;
	}
}

/* The promised order of addition.  volatile: each step rounds to float. */
static float
lane_sum(VkElem elem, Term term, const void *a, const void *b, int n)
{
	volatile float lane[LANES] = {0};

	for (int i = 0; i < n; i++)
	{
		volatile float x = value_at(elem, a, i);
		volatile float y = value_at(elem, b, i);
		volatile float t;

		if (term == TERM_PRODUCT)
			t = x * y;
		else
		{
			t = x - y;
			t = term == TERM_L1 ? fabsf(t) : t * t;
		}
		lane[i % LANES] += t;
	}
	for (int half = LANES / 2; half > 0; half /= 2)
	{
		for (int i = 0; i < half; i++)
			lane[i] += lane[i + half];
	}
	return lane[0];
}

static double
double_sum(VkElem elem, Term term, const void *a, const void *b, int n, double *magnitude)
{
	double		sum = 0;

	*magnitude = 0;
	for (int i = 0; i < n; i++)
	{
		double		x = value_at(elem, a, i);
		double		y = value_at(elem, b, i);
		double		t = term == TERM_PRODUCT ? x * y :
		term == TERM_L1 ? fabs(x - y) : (x - y) * (x - y);

		sum += t;
		*magnitude += fabs(t);
	}
	return sum;
}

/* NaN equals NaN; the sign of zero counts. */
static bool
same_bits(float x, float y)
{
	return memcmp(&x, &y, sizeof(x)) == 0 || (isnan(x) && isnan(y));
}

static float
kernel_sum(const VkDenseKernels *kernels, Term term, const void *a, const void *b, int n)
{
	return term == TERM_L2_SQUARED ? kernels->l2_squared(a, b, n) :
		term == TERM_PRODUCT ? kernels->inner_product(a, b, n) : kernels->l1(a, b, n);
}

static float
random_value(Values values)
{
	switch (values)
	{
		case VALUES_ZERO:
			return 0;
		case VALUES_DENORMAL:
			return random_unit() * 1e-40;
		case VALUES_HUGE:
			return random_unit() * FLT_MAX;
		case VALUES_MIXED:
			return ldexp(random_unit(), random_below(60) - 30);
		default:
			return random_unit();
	}
}

/* Any binary16 but infinity and NaN; the kinds are subsets of the exponents. */
static VkHalf
random_half(Values values)
{
	int			exponent = values == VALUES_DENORMAL ? 0 :
	values == VALUES_HUGE ? 30 : values == VALUES_MIXED ? random_below(31) : 14;

	if (values == VALUES_ZERO)
		return 0;
	return random_below(2) << 15 | exponent << 10 | random_below(1024);
}

static void
fill(VkElem elem, Values values, char *a, char *b, int n)
{
	for (int i = 0; i < n; i++)
	{
		for (int which = 0; which < 2; which++)
		{
			char	   *array = which ? b : a;

			if (elem == VK_ELEM_FLOAT2)
			{
				VkHalf		half = random_half(values);

				memcpy(array + i * sizeof(half), &half, sizeof(half));
			}
			else
			{
				float		value = random_value(values);

				memcpy(array + i * sizeof(value), &value, sizeof(value));
			}
		}
	}
	if (values == VALUES_EQUAL)
		memcpy(b, a, n * (elem == VK_ELEM_FLOAT2 ? sizeof(VkHalf) : sizeof(float)));
}

/* Whether the terms may be compared with double precision: no overflow, no underflow. */
static bool
is_regular(Values values)
{
	return values == VALUES_UNIT || values == VALUES_EQUAL || values == VALUES_ZERO ||
		values == VALUES_MIXED;
}

static void
check_pair(const VkKernels *kernels, VkElem elem, Values values, const void *a, const void *b, int n)
{
	VkCosineParts parts;

	for (Term term = TERM_L2_SQUARED; term <= TERM_L1; term++)
	{
		float		sum = kernel_sum(&kernels->dense[elem], term, a, b, n);
		float		expected = lane_sum(elem, term, a, b, n);

		CHECK(same_bits(sum, expected), "%s %s elem %d values %d length %d: %.9g, not %.9g",
			  kernels->name, term_names[term], elem, values, n, sum, expected);
		if (is_regular(values))
		{
			double		magnitude;
			double		exact = double_sum(elem, term, a, b, n, &magnitude);

			CHECK(fabs(sum - exact) <= (n + 2) * (FLT_EPSILON / 2) * magnitude,
				  "%s %s elem %d values %d length %d: %.9g, in double %.17g",
				  kernels->name, term_names[term], elem, values, n, sum, exact);
		}
	}

	kernels->dense[elem].cosine(a, b, n, &parts);
	CHECK(same_bits(parts.ip, lane_sum(elem, TERM_PRODUCT, a, b, n)),
		  "%s elem %d values %d length %d", kernels->name, elem, values, n);
	CHECK(same_bits(parts.norm_a, lane_sum(elem, TERM_PRODUCT, a, a, n)),
		  "%s elem %d values %d length %d", kernels->name, elem, values, n);
	CHECK(same_bits(parts.norm_b, lane_sum(elem, TERM_PRODUCT, b, b, n)),
		  "%s elem %d values %d length %d", kernels->name, elem, values, n);
}

/* The address of n elements of size bytes that end misalign bytes before the guard page. */
static char *
place(int which, int n, size_t size, int misalign)
{
	return region[which] + MAX_LENGTH * sizeof(float) + MAX_MISALIGN - misalign - n * size;
}

static void
test_kernels(const VkKernels *kernels, VkElem elem)
{
	size_t		size = elem == VK_ELEM_FLOAT2 ? sizeof(VkHalf) : sizeof(float);

	for (int n = 1; n <= MAX_LENGTH; n++)
	{
		Values		values = n <= 100 ? VALUES_UNIT : random_below(NUM_VALUES);
		Values		last = n <= 100 ? NUM_VALUES - 1 : values;

		for (; values <= last; values++)
		{
			/* Ending at the guard page, and anywhere. */
			for (int round = 0; round < 2; round++)
			{
				char	   *a = place(0, n, size, round ? random_below(MAX_MISALIGN) : 0);
				char	   *b = place(1, n, size, round ? random_below(MAX_MISALIGN) : 0);

				fill(elem, values, a, b, n);
				check_pair(kernels, elem, values, a, b, n);
			}
		}
	}
}

/* Moving a vector in memory changes no bit of a distance. */
static void
test_alignments(const VkKernels *kernels, VkElem elem, int n)
{
	size_t		size = elem == VK_ELEM_FLOAT2 ? sizeof(VkHalf) : sizeof(float);
	char	   *a = place(0, n, size, 0);
	char	   *b = place(1, n, size, 0);
	float		expected[3];

	fill(elem, VALUES_MIXED, a, b, n);
	for (Term term = TERM_L2_SQUARED; term <= TERM_L1; term++)
		expected[term] = kernel_sum(&kernels->dense[elem], term, a, b, n);
	for (int misalign = 1; misalign < MAX_MISALIGN; misalign++)
	{
		memmove(place(0, n, size, misalign), a, n * size);
		a = place(0, n, size, misalign);
		for (Term term = TERM_L2_SQUARED; term <= TERM_L1; term++)
			CHECK(same_bits(kernel_sum(&kernels->dense[elem], term, a, b, n), expected[term]),
				  "%s %s elem %d length %d misaligned by %d", kernels->name,
				  term_names[term], elem, n, misalign);
	}
}

/* All 63,488 finite binary16 values, against the arithmetic of the format. */
static void
test_half_conversion(const VkKernels *kernels)
{
	VkHalf		one[LANES] = {0x3c00};

	for (int bits = 0; bits < 0x10000; bits++)
	{
		int			exponent = bits >> 10 & 31;
		double		fraction = (bits & 1023) / 1024.0;
		double		value = exponent ? ldexp(1 + fraction, exponent - 15) : ldexp(fraction, -14);
		VkHalf		half[LANES] = {bits};

		if (exponent == 31)
			continue;
		if (bits & 0x8000)
			value = -value;
		CHECK(vk_half_to_float(bits) == value, "half %x", bits);
		for (int n = 1; n <= LANES; n += LANES - 1)
			CHECK(kernels->dense[VK_ELEM_FLOAT2].inner_product(half, one, n) == value,
				  "%s half %x", kernels->name, bits);
	}
}

int
main(void)
{
	region[0] = guarded_alloc(MAX_LENGTH * sizeof(float) + MAX_MISALIGN);
	region[1] = guarded_alloc(MAX_LENGTH * sizeof(float) + MAX_MISALIGN);

	for (int choice = VK_KERNEL_PORTABLE; choice < VK_NUM_KERNEL_CHOICES; choice++)
	{
		const VkKernels *kernels = vk_kernels_get(choice);

		if (kernels == NULL)
			continue;
		test_half_conversion(kernels);
		for (VkElem elem = VK_ELEM_FLOAT4; elem < VK_NUM_DENSE_ELEMS; elem++)
		{
			test_kernels(kernels, elem);
			for (int n = 1; n < 200; n += 7)
				test_alignments(kernels, elem, n);
		}
	}
	return 0;
}
