/*-------------------------------------------------------------------------
 *
 * kernel_template.h
 *	  The loop bodies of the dense metrics; the only ones there are.
 *
 * Included by kernel_isa.h once per element type, in each instruction set.
 * Parameters, undefined again at the end:
 *
 *	VK_ELEM_T		C type of an element
 *	VK_FN(name)		name of the function for this element type
 *	VK_LOAD(p)		VkReg with VK_WIDTH elements from p, at any alignment
 *	VK_LOAD_PART(p, n)	the same with the first n, 0 < n < VK_WIDTH, and zeros;
 *					reads nothing behind them
 *
 * Every instruction set has VK_LANES running sums: element i goes to sum
 * i mod VK_LANES, a product is rounded before it is added (no fused multiply-add:
 * the objects are built with -ffp-contract=off), and the sums are folded in
 * halves: lane i with lane i + 16, i + 8, i + 4, i + 2, i + 1.  So the result
 * has the same bits everywhere.  A lane that gets no element in the last round
 * adds zero, which changes nothing, as no sum is ever negative zero.
 *
 *-------------------------------------------------------------------------
 */

/* Sum of term(x, y) over all elements. */
static pg_attribute_always_inline float
VK_FN(sum_terms) (const VK_ELEM_T * a, const VK_ELEM_T * b, int dim,
				  VkReg (*term) (VkReg x, VkReg y))
{
	VkReg		sum[VK_REGS] = {{0}};
	int			i;

#define ADD_REG(r) \
	sum[r] += term(VK_LOAD(a + i + r * VK_WIDTH), VK_LOAD(b + i + r * VK_WIDTH));
#define ADD_REST(r) \
	if (i + (r + 1) * VK_WIDTH <= dim) \
		sum[r] += term(VK_LOAD(a + i + r * VK_WIDTH), VK_LOAD(b + i + r * VK_WIDTH)); \
	else if (i + r * VK_WIDTH < dim) \
		sum[r] += term(VK_LOAD_PART(a + i + r * VK_WIDTH, dim - i - r * VK_WIDTH), \
					   VK_LOAD_PART(b + i + r * VK_WIDTH, dim - i - r * VK_WIDTH));

	for (i = 0; i + VK_LANES <= dim; i += VK_LANES)
	{
		VK_FOR_EACH_REG(ADD_REG)
	}
	if (i < dim)
	{
		VK_FOR_EACH_REG(ADD_REST)
	}

#undef ADD_REG
#undef ADD_REST

	return fold_sums(sum);
}

static float
VK_FN(l2_squared) (const void *a, const void *b, int dim)
{
	return VK_FN(sum_terms) (a, b, dim, term_l2_squared);
}

static float
VK_FN(inner_product) (const void *a, const void *b, int dim)
{
	return VK_FN(sum_terms) (a, b, dim, term_product);
}

static float
VK_FN(l1) (const void *a, const void *b, int dim)
{
	return VK_FN(sum_terms) (a, b, dim, term_l1);
}

/* As inner_product() of (a, b), (a, a) and (b, b), but reads memory once. */
static void
VK_FN(cosine) (const void *av, const void *bv, int dim, VkCosineParts *parts)
{
	const		VK_ELEM_T *a = av;
	const		VK_ELEM_T *b = bv;
	VkReg		ip[VK_REGS] = {{0}};
	VkReg		norm_a[VK_REGS] = {{0}};
	VkReg		norm_b[VK_REGS] = {{0}};
	int			i;

#define ADD_PAIR(r, x, y) \
	do { \
		VkReg		x_ = (x); \
		VkReg		y_ = (y); \
		ip[r] += x_ * y_; \
		norm_a[r] += x_ * x_; \
		norm_b[r] += y_ * y_; \
	} while (0)
#define ADD_REG(r) \
	ADD_PAIR(r, VK_LOAD(a + i + r * VK_WIDTH), VK_LOAD(b + i + r * VK_WIDTH));
#define ADD_REST(r) \
	if (i + (r + 1) * VK_WIDTH <= dim) \
		ADD_PAIR(r, VK_LOAD(a + i + r * VK_WIDTH), VK_LOAD(b + i + r * VK_WIDTH)); \
	else if (i + r * VK_WIDTH < dim) \
		ADD_PAIR(r, VK_LOAD_PART(a + i + r * VK_WIDTH, dim - i - r * VK_WIDTH), \
				 VK_LOAD_PART(b + i + r * VK_WIDTH, dim - i - r * VK_WIDTH));

	for (i = 0; i + VK_LANES <= dim; i += VK_LANES)
	{
		VK_FOR_EACH_REG(ADD_REG)
	}
	if (i < dim)
	{
		VK_FOR_EACH_REG(ADD_REST)
	}

#undef ADD_PAIR
#undef ADD_REG
#undef ADD_REST

	parts->ip = fold_sums(ip);
	parts->norm_a = fold_sums(norm_a);
	parts->norm_b = fold_sums(norm_b);
}

#undef VK_ELEM_T
#undef VK_FN
#undef VK_LOAD
#undef VK_LOAD_PART
