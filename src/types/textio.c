/*-------------------------------------------------------------------------
 *
 * textio.c
 *	  One tokenizer for the text formats of the dense and the sparse types.
 *
 * A literal is read in one pass by a Cursor that knows white space, numbers,
 * integers and single characters.  Numbers have the value strtof() gives them,
 * bit for bit, but most are converted without calling it (read_decimal).
 *
 * Plain C: no server, no allocation, no error but by VkReadError.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "types/textio.h"

typedef struct Cursor
{
	const char *start;
	const char *at;
	VkReadError *error;
} Cursor;

/* What isspace() says in the C locale. */
static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline void
skip_space(Cursor *cursor)
{
	while (is_space(*cursor->at))
		cursor->at++;
}

/* Skips white space and then one c, when it is there. */
static inline bool
accept(Cursor *cursor, char c)
{
	skip_space(cursor);
	if (*cursor->at != c)
		return false;
	cursor->at++;
	return true;
}

/* Notes an error at the text [at, at + len).  Always returns false. */
static bool
fail(Cursor *cursor, VkReadCode code, int element, const char *at, size_t len)
{
	VkReadError *error = cursor->error;

	memset(error, 0, sizeof(*error));
	error->code = code;
	error->element = element;
	error->position = at - cursor->start + 1;
	error->token = at;
	error->token_len = len;
	return false;
}

static bool
fail_syntax(Cursor *cursor, int element, const char *why)
{
	skip_space(cursor);
	fail(cursor, VK_READ_SYNTAX, element, cursor->at, strlen(cursor->at));
	cursor->error->why = why;
	return false;
}

static bool
fail_count(Cursor *cursor, VkReadCode code, int64_t value, int64_t limit)
{
	fail(cursor, code, 0, cursor->start, 0);
	cursor->error->position = 0;
	cursor->error->value = value;
	cursor->error->limit = limit;
	return false;
}

/*
 * Powers of ten, each the double nearest to it.  The span covers every float
 * that has at most MAX_DIGITS digits.
 */
#define MAX_DIGITS		19
#define MAX_POWER		64

static const double power_of_ten[MAX_POWER + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
	1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25,
	1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37,
	1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48, 1e49,
	1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58, 1e59, 1e60, 1e61,
	1e62, 1e63, 1e64
};

/*
 * Rounds digits * 10^exponent to the nearest float, when that is certain.
 *
 * The double computed here is off by at most three roundings (of digits, the
 * power, the quotient), so by at most 4 of its units.  The float nearest to it
 * is then the float nearest to the decimal, unless a midpoint between two
 * floats lies that close: a midpoint has a one and 28 zeros below a float's
 * last bit.  Such cases, subnormal and overflowing ones go to strtof().
 */
static inline bool
round_decimal(uint64_t digits, int exponent, float *value)
{
	const int64_t midpoint = INT64_C(1) << 28;
	const int64_t doubt = 8;
	double		approx = (double) digits;
	uint64_t	bits;
	int64_t		below;

#if FLT_EVAL_METHOD != 0
	return false;				/* x87: doubles are rounded at other times */
#endif
	if (digits == 0)
	{
		*value = 0;
		return true;
	}
	if (exponent < -MAX_POWER || exponent > MAX_POWER)
		return false;
	if (exponent < 0)
		approx /= power_of_ten[-exponent];
	else if (exponent > 0)
		approx *= power_of_ten[exponent];
	if (!(approx >= FLT_MIN && approx <= FLT_MAX))
		return false;
	memcpy(&bits, &approx, sizeof(bits));
	below = (int64_t) (bits & (2 * midpoint - 1));
	if (below >= midpoint - doubt && below <= midpoint + doubt)
		return false;
	*value = (float) approx;
	return true;
}

static inline const char *
read_digits(const char *at, uint64_t *digits)
{
	unsigned	digit;

	while ((digit = (unsigned) (unsigned char) *at - '0') <= 9)
	{
		*digits = *digits * 10 + digit;
		at++;
	}
	return at;
}

/*
 * Reads a plain decimal number.  Returns the first character behind it, or
 * NULL when strtof() must have a look: more digits than a uint64 holds, words,
 * hexadecimal, a value round_decimal() is not certain of.
 */
static inline const char *
read_decimal(const char *at, float *value)
{
	bool		negative = *at == '-';
	const char *first;
	uint64_t	digits = 0;
	int			ndigits;
	int			exponent = 0;

	if (negative || *at == '+')
		at++;
	first = at;
	at = read_digits(at, &digits);
	ndigits = at - first <= MAX_DIGITS ? (int) (at - first) : MAX_DIGITS + 1;
	if (*at == '.')
	{
		first = ++at;
		at = read_digits(at, &digits);
		if (at - first > MAX_DIGITS)
			return NULL;
		exponent = -(int) (at - first);
		ndigits -= exponent;
	}
	if (ndigits == 0 || ndigits > MAX_DIGITS)
		return NULL;
	if ((*at | 0x20) == 'e')
	{
		uint64_t	shift = 0;
		bool		down = at[1] == '-';

		first = at + 1 + (down || at[1] == '+');
		at = read_digits(first, &shift);
		if (at == first || at - first > 3)
			return NULL;
		exponent += down ? -(int) shift : (int) shift;
	}
	else if ((*at | 0x20) == 'x')
		return NULL;
	if (!round_decimal(digits, exponent, value))
		return NULL;
	if (negative)
		*value = -*value;
	return at;
}

/*
 * Reads one number.  Its type is float, but it must be finite also as an
 * element of type elem, which is what is stored.
 */
static inline bool
read_number(Cursor *cursor, VkElem elem, int element, float *value)
{
	const char *begin;
	const char *end;
	bool		unfit = false;

	skip_space(cursor);
	begin = cursor->at;
	end = read_decimal(begin, value);
	if (end == NULL)
	{
		char	   *stop;

		errno = 0;
		*value = strtof(begin, &stop);
		if (stop == begin)
			return fail_syntax(cursor, element, "a number");
		/* a sparsevec refuses what becomes zero, as it would vanish */
		unfit = errno == ERANGE && (isinf(*value) || (elem == VK_ELEM_SPARSE && *value == 0));
		end = stop;
		if (isnan(*value))
			return fail(cursor, VK_READ_NAN, element, begin, end - begin);
		if (isinf(*value) && !unfit)
			return fail(cursor, VK_READ_INFINITE, element, begin, end - begin);
	}
	if (unfit ||
		(elem == VK_ELEM_FLOAT2 && !vk_half_is_finite(vk_float_to_half(*value))))
		return fail(cursor, VK_READ_OUT_OF_RANGE, element, begin, end - begin);
	cursor->at = end;
	return true;
}

/* Reads an integer, clipped to what an int32 holds with one to spare below. */
static bool
read_integer(Cursor *cursor, int element, const char *what, int32_t *value)
{
	char	   *end;
	long		number;

	skip_space(cursor);
	number = strtol(cursor->at, &end, 10);
	if (end == cursor->at)
		return fail_syntax(cursor, element, what);
	*value = number > INT_MAX ? INT_MAX : number < INT_MIN + 1 ? INT_MIN + 1 : (int32_t) number;
	cursor->at = end;
	return true;
}

static inline void
store(VkElem elem, void *out, int i, float value)
{
	switch (elem)
	{
#define VK_DENSE_ELEM(id, name, ctype, widen, narrow) \
		case id: ((ctype *) out)[i] = narrow(value); break;
#include "types/elem.def"
		default:
			break;
	}
}

static inline bool
read_elements(Cursor *cursor, VkElem elem, void *out, int *dim)
{
	int			count = 0;
	float		value;

	for (;;)
	{
		if (count == VK_MAX_DIM)
		{
			skip_space(cursor);
			fail(cursor, VK_READ_DIM_LIMIT, count + 1, cursor->at, 0);
			cursor->error->limit = VK_MAX_DIM;
			return false;
		}
		if (!read_number(cursor, elem, count + 1, &value))
			return false;
		store(elem, out, count, value);
		count++;
		if (accept(cursor, ','))
			continue;
		if (*cursor->at != ']')
			return fail_syntax(cursor, count, "\",\" or \"]\"");
		cursor->at++;
		*dim = count;
		return true;
	}
}

bool
vk_text_read_dense(const char *literal, VkElem elem, int typmod,
				   void *out, int *dim, VkReadError *error)
{
	Cursor		cursor = {literal, literal, error};
	bool		done;

	if (!accept(&cursor, '['))
		return fail_syntax(&cursor, 0, "Vector contents must start with \"[\".");
	if (accept(&cursor, ']'))
		return fail(&cursor, VK_READ_NO_DIM, 0, cursor.at - 1, 1);
	/* one loop per element type, so that none tests the type per element */
	if (elem == VK_ELEM_FLOAT4)
		done = read_elements(&cursor, VK_ELEM_FLOAT4, out, dim);
	else
		done = read_elements(&cursor, elem, out, dim);
	if (!done)
		return false;
	skip_space(&cursor);
	if (*cursor.at != '\0')
		return fail_syntax(&cursor, 0, "Junk after closing right brace.");
	if (typmod != -1 && *dim != typmod)
		return fail_count(&cursor, VK_READ_DIM_EXPECTED, *dim, typmod);
	return true;
}

/* Reads "index:value" pairs up to and with the closing brace; drops zeros. */
static bool
read_items(Cursor *cursor, VkSparseItem *items, int *nnz)
{
	int			element = 0;
	int32_t		index;
	float		value;

	*nnz = 0;
	if (accept(cursor, '}'))
		return true;
	for (;;)
	{
		element++;
		if (!read_integer(cursor, element, "an index", &index))
			return false;
		if (!accept(cursor, ':'))
			return fail_syntax(cursor, element, "\":\"");
		if (!read_number(cursor, VK_ELEM_SPARSE, element, &value))
			return false;
		if (value != 0)
		{
			if (*nnz == VK_SPARSE_MAX_NNZ)
				return fail_count(cursor, VK_READ_NNZ_LIMIT, (int64_t) *nnz + 1, *nnz);
			items[*nnz].index = index - 1;
			items[*nnz].value = value;
			(*nnz)++;
		}
		if (accept(cursor, ','))
			continue;
		if (*cursor->at != '}')
			return fail_syntax(cursor, element, "\",\" or \"}\"");
		cursor->at++;
		return true;
	}
}

static int
compare_items(const void *a, const void *b)
{
	int32_t		left = ((const VkSparseItem *) a)->index;
	int32_t		right = ((const VkSparseItem *) b)->index;

	return (left > right) - (left < right);
}

/*
 * Notes an error about an index.  Items do not carry where they stood, so the
 * literal, known to be well formed, is read again for the last such index.
 */
static bool
fail_index(Cursor *cursor, VkReadCode code, int32_t index, int dim)
{
	Cursor		again = {cursor->start, cursor->start, cursor->error};
	const char *begin = NULL;
	int			element = 0;
	int			found = 0;
	size_t		len = 0;

	(void) accept(&again, '{');
	do
	{
		const char *at;
		int32_t		number;
		float		value;

		skip_space(&again);
		at = again.at;
		if (!read_integer(&again, 0, "", &number))
			break;
		element++;
		if (number - 1 == index)
		{
			begin = at;
			len = again.at - at;
			found = element;
		}
		if (!accept(&again, ':') || !read_number(&again, VK_ELEM_SPARSE, 0, &value))
			break;
	} while (accept(&again, ','));

	fail(cursor, code, found, begin ? begin : cursor->start, len);
	cursor->error->value = (int64_t) index + 1;
	cursor->error->limit = dim;
	return false;
}

/* Checks the number of dimensions, which begins at the text begin. */
static bool
check_dimensions(Cursor *cursor, const char *begin, int32_t dimensions, int typmod)
{
	VkReadCode	code;

	if (dimensions < 1)
		code = VK_READ_NO_DIM;
	else if (dimensions > VK_SPARSE_MAX_DIM)
		code = VK_READ_DIM_LIMIT;
	else if (typmod != -1 && dimensions != typmod)
		return fail_count(cursor, VK_READ_DIM_EXPECTED, dimensions, typmod);
	else
		return true;
	/* the token is what the user wrote: dimensions may be clipped */
	fail(cursor, code, 0, begin, strcspn(begin, " \t\n\r\v\f"));
	cursor->error->limit = VK_SPARSE_MAX_DIM;
	return false;
}

bool
vk_text_read_sparse(const char *literal, int typmod, VkSparseItem *items,
					int *nnz, int *dim, VkReadError *error)
{
	Cursor		cursor = {literal, literal, error};
	bool		ascending = true;
	const char *begin;
	int32_t		dimensions;

	if (!accept(&cursor, '{'))
		return fail_syntax(&cursor, 0, "Vector contents must start with \"{\".");
	if (!read_items(&cursor, items, nnz))
		return false;
	if (!accept(&cursor, '/'))
		return fail_syntax(&cursor, 0, "Unexpected end of input.");
	skip_space(&cursor);
	begin = cursor.at;
	if (!read_integer(&cursor, 0, "the number of dimensions", &dimensions))
		return false;
	skip_space(&cursor);
	if (*cursor.at != '\0')
		return fail_syntax(&cursor, 0, "Junk after closing.");
	if (!check_dimensions(&cursor, begin, dimensions, typmod))
		return false;

	for (int i = 1; i < *nnz && ascending; i++)
		ascending = items[i - 1].index < items[i].index;
	if (!ascending)
		qsort(items, *nnz, sizeof(VkSparseItem), compare_items);
	for (int i = 0; i < *nnz; i++)
	{
		if (items[i].index < 0 || items[i].index >= dimensions)
			return fail_index(&cursor, VK_READ_INDEX_BOUNDS, items[i].index, dimensions);
		if (i > 0 && items[i].index == items[i - 1].index)
			return fail_index(&cursor, VK_READ_INDEX_DUPLICATE, items[i].index, dimensions);
	}
	*dim = dimensions;
	return true;
}
