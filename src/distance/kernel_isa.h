/*-------------------------------------------------------------------------
 *
 * kernel_isa.h
 *	  Builds one kernel set: registers, terms, folding, and the table.
 *
 * Included once by each kernel_<isa>.c, which has defined
 *
 *	VK_ISA			name of the set: portable, avx2, ...
 *	VK_WIDTH		floats in a register: 4, 8 or 16
 *	VK_FOLD(reg)	the register's lanes folded in halves down to 4: a VkReg4
 *	VK_LOAD_HALF(p)	VK_WIDTH binary16 at p widened to a VkReg; may be absent
 *	VK_LOAD_PART_FLOAT(p, n), VK_LOAD_PART_HALF(p, n)	may be absent
 *	VK_MATCH_INDEX(p, index)	bit mask: which of VK_WIDTH int32 at p is index; may be absent
 *	VK_DOT_I8, VK_DOT_U8I8, VK_L1_U8, VK_L2_SQUARED_U8	may be absent
 *
 * Registers are GCC vectors: arithmetic on them is element-wise, compiles to
 * one instruction where the target has it, and is the same IEEE arithmetic
 * everywhere.
 *
 *-------------------------------------------------------------------------
 */
#define VK_LANES	32
#define VK_REGS		(VK_LANES / VK_WIDTH)

/* Unrolled by the preprocessor: arrays with constant indexes stay in registers. */
#if VK_WIDTH == 16
#define VK_FOR_EACH_REG(M)	M(0) M(1)
#elif VK_WIDTH == 8
#define VK_FOR_EACH_REG(M)	M(0) M(1) M(2) M(3)
#else
#define VK_FOR_EACH_REG(M)	M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#endif

typedef float VkReg __attribute__((vector_size(VK_WIDTH * 4)));
typedef float VkReg4 __attribute__((vector_size(16)));
typedef uint32 VkRegBits __attribute__((vector_size(VK_WIDTH * 4)));
typedef VkHalf VkRegHalf __attribute__((vector_size(VK_WIDTH * 2)));

/* The same registers in memory at any address of an array. */
typedef VkReg VkRegUnaligned __attribute__((aligned(1), may_alias));
typedef VkRegHalf VkRegHalfUnaligned __attribute__((aligned(1), may_alias));

static pg_attribute_always_inline VkReg
term_l2_squared(VkReg x, VkReg y)
{
	VkReg		diff = x - y;

	return diff * diff;
}

static pg_attribute_always_inline VkReg
term_product(VkReg x, VkReg y)
{
	return x * y;
}

static pg_attribute_always_inline VkReg
term_l1(VkReg x, VkReg y)
{
	return (VkReg) ((VkRegBits) (x - y) & 0x7fffffff);
}

/* Folds VK_LANES sums in halves; lane i is element i % VK_WIDTH of register i / VK_WIDTH. */
static pg_attribute_always_inline float
fold_sums(VkReg *sum)
{
	VkReg4		fold;

#if VK_WIDTH == 4
	sum[0] += sum[4];
	sum[1] += sum[5];
	sum[2] += sum[6];
	sum[3] += sum[7];
#endif
#if VK_WIDTH <= 8
	sum[0] += sum[2];
	sum[1] += sum[3];
#endif
	sum[0] += sum[1];
	fold = VK_FOLD(sum[0]);
	return (fold[0] + fold[2]) + (fold[1] + fold[3]);
}

/*
 * binary16 -> binary32 by arithmetic: exponent and mantissa moved into place
 * are the value times 2^-112, also for subnormal values; all steps are exact.
 * halfvec holds neither infinities nor NaN.
 */
#ifndef VK_LOAD_HALF
static pg_attribute_always_inline VkReg
widen_half(VkRegHalf half)
{
	VkRegBits	bits = __builtin_convertvector(half, VkRegBits);
	VkReg		magnitude = (VkReg) ((bits & 0x7fff) << 13) * 0x1p112f;

	return (VkReg) ((VkRegBits) magnitude | (bits & 0x8000) << 16);
}
#define VK_LOAD_HALF(p)		widen_half(*(const VkRegHalfUnaligned *) (p))
#endif

/*
 * Elements at any address: compilers that vectorise the loops below align
 * their loads step by step, which a float at an odd address never becomes.
 */
typedef float VkFloatUnaligned __attribute__((aligned(1)));
typedef VkHalf VkHalfUnaligned __attribute__((aligned(1)));

#ifndef VK_LOAD_PART_FLOAT
static pg_attribute_always_inline VkReg
load_part_float(const VkFloatUnaligned *p, int n)
{
	float		part[VK_WIDTH] = {0};

	for (int i = 0; i < VK_WIDTH - 1 && i < n; i++)
		part[i] = p[i];
	return *(const VkRegUnaligned *) part;
}
#define VK_LOAD_PART_FLOAT(p, n)	load_part_float(p, n)
#endif

#ifndef VK_LOAD_PART_HALF
static pg_attribute_always_inline VkReg
load_part_half(const VkHalfUnaligned *p, int n)
{
	VkHalf		part[VK_WIDTH] = {0};

	for (int i = 0; i < VK_WIDTH - 1 && i < n; i++)
		part[i] = p[i];
	return VK_LOAD_HALF(part);
}
#define VK_LOAD_PART_HALF(p, n)		load_part_half(p, n)
#endif

#define VK_ELEM_T			float
#define VK_FN(name)			float4_##name
#define VK_LOAD(p)			(*(const VkRegUnaligned *) (p))
#define VK_LOAD_PART(p, n)	VK_LOAD_PART_FLOAT(p, n)
#include "distance/kernel_template.h"

#define VK_ELEM_T			VkHalf
#define VK_FN(name)			float2_##name
#define VK_LOAD(p)			VK_LOAD_HALF(p)
#define VK_LOAD_PART(p, n)	VK_LOAD_PART_HALF(p, n)
#include "distance/kernel_template.h"

/*
 * Sparse vectors: each index of the shorter list is compared with a register
 * full of the longer one, which moves on when its last index is smaller.
 */
#ifdef VK_MATCH_INDEX
static pg_attribute_always_inline int
find_common(const VkSparse *a, const VkSparse *b, double *sum)
{
	const VkSparse *few = a->nnz < b->nnz ? a : b;
	const VkSparse *many = few == a ? b : a;
	int			last = many->nnz - VK_WIDTH;
	int			at = 0;
	int			count = 0;

	for (int i = 0; i < few->nnz; i++)
	{
		int32		index = few->indices[i];
		uint32		match;

		while (many->indices[at + VK_WIDTH - 1] < index)
		{
			if (at == last)
				return count;

			/*
			 * The last register overlaps the one before: it holds only what
			 * is passed.
			 */
			at = Min(at + VK_WIDTH, last);
		}
		match = VK_MATCH_INDEX(many->indices + at, index);
		if (match != 0)
		{
			*sum += (double) few->values[i] * many->values[at + __builtin_ctz(match)];
			count++;
		}
	}
	return count;
}

static double
sparse_inner_product(const VkSparse *a, const VkSparse *b)
{
	double		sum = 0;

	if (Max(a->nnz, b->nnz) < VK_WIDTH)
		return vk_sparse_inner_product(a, b);
	find_common(a, b, &sum);
	return sum;
}

static int
sparse_intersection(const VkSparse *a, const VkSparse *b)
{
	double		unused = 0;

	if (Max(a->nnz, b->nnz) < VK_WIDTH)
		return vk_sparse_intersection(a, b);
	return find_common(a, b, &unused);
}
#define VK_SPARSE_INNER_PRODUCT	sparse_inner_product
#define VK_SPARSE_INTERSECTION	sparse_intersection
#else
#define VK_SPARSE_INNER_PRODUCT	vk_sparse_inner_product
#define VK_SPARSE_INTERSECTION	vk_sparse_intersection
#endif

/*
 * Integer sums are exact in any order, so compilers vectorise these loops by
 * themselves; an instruction set with something better brings its own.
 */
#ifndef VK_DOT_I8
static int32
dot_i8(const int8 *a, const int8 *b, int n)
{
	int32		sum = 0;

	for (int i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}
#define VK_DOT_I8	dot_i8
#endif

#ifndef VK_DOT_U8I8
static int32
dot_u8i8(const uint8 *a, const int8 *b, int n)
{
	int32		sum = 0;

	for (int i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}
#define VK_DOT_U8I8	dot_u8i8
#endif

#ifndef VK_L1_U8
static int32
l1_u8(const uint8 *a, const uint8 *b, int n)
{
	int32		sum = 0;

	for (int i = 0; i < n; i++)
		sum += abs(a[i] - b[i]);
	return sum;
}
#define VK_L1_U8	l1_u8
#endif

#ifndef VK_L2_SQUARED_U8
static int32
l2_squared_u8(const uint8 *a, const uint8 *b, int n)
{
	int32		sum = 0;

	for (int i = 0; i < n; i++)
	{
		int16		diff = a[i] - b[i];

		sum += diff * diff;
	}
	return sum;
}
#define VK_L2_SQUARED_U8	l2_squared_u8
#endif

#define VK_KERNELS_OF(isa)	CppConcat(vk_kernels_, isa)

const VkKernels
VK_KERNELS_OF(VK_ISA) =
{
	.name = CppAsString2(VK_ISA),
		.dense =
	{
		[VK_ELEM_FLOAT4] =
		{
			float4_l2_squared, float4_inner_product, float4_l1, float4_cosine
		},
			[VK_ELEM_FLOAT2] =
		{
			float2_l2_squared, float2_inner_product, float2_l1, float2_cosine
		}
	},
		.sparse =
	{
		vk_sparse_l2_squared, VK_SPARSE_INNER_PRODUCT, vk_sparse_l1,
			VK_SPARSE_INTERSECTION
	},
		.int8 =
	{
		VK_DOT_I8, VK_DOT_U8I8, VK_L1_U8, VK_L2_SQUARED_U8
	}
};
