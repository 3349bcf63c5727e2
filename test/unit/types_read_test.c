/*
 * types_read_test.c: the readers of text and binary input
 *
 * - half and float convert into each other exactly: all 65,536 halfs, and the
 *   nearest half of floats around every rounding boundary;
 * - a number in a literal has the bits strtof() gives: decimals of every
 *   length and size, floats printed in every precision, midpoints between two
 *   floats and their neighbours, odd spellings;
 * - the readers read nothing behind their input (it ends at a guard page), and
 *   every cut of a message, and every changed byte, is accepted or refused but
 *   never more.
 *
 * LINKS: src/types/textio.o src/types/wire.o
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "check.h"
#include "types/textio.h"
#include "types/wire.h"

/* What a half is worth, from the definition of the format. */
static double
half_value(int bits)
{
	int			exponent = bits >> 10 & 31;
	int			mantissa = bits & 1023;
	double		value = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);

	return bits & VK_HALF_SIGN ? -value : value;
}

static void
test_half_to_float(void)
{
	for (int bits = 0; bits < 65536; bits++)
	{
		float		value = vk_half_to_float((VkHalf) bits);

		if ((bits & VK_HALF_INF) != VK_HALF_INF)
		{
			CHECK(value == half_value(bits), "half %04x", bits);
			CHECK(!signbit(value) == !(bits & VK_HALF_SIGN), "half %04x", bits);
		}
		else if (bits & 1023)
			CHECK(isnan(value), "half %04x", bits);
		else
			CHECK(isinf(value), "half %04x", bits);
		if (!isnan(value))
			CHECK(vk_float_to_half(value) == bits, "half %04x", bits);
	}
	CHECK((vk_float_to_half(NAN) & 0x7fff) > VK_HALF_INF, "NaN");
}

/* Between neighbours low and high = low + 1: below the middle low, above it high, at it the even one. */
static void
check_rounding(int low)
{
	double		next = low == 0x7bff ? 65536 : half_value(low + 1);
	float		middle = (float) ((half_value(low) + next) / 2);

	CHECK(vk_float_to_half(nextafterf(middle, 0)) == low, "below the middle above %04x", low);
	CHECK(vk_float_to_half(nextafterf(middle, INFINITY)) == low + 1, "above the middle above %04x", low);
	CHECK(vk_float_to_half(middle) == low + (low & 1), "the middle above %04x", low);
	CHECK(vk_float_to_half(-middle) == (VK_HALF_SIGN | (low + (low & 1))), "the middle below -%04x", low);
}

static void
test_float_to_half(void)
{
	for (int low = 0; low < VK_HALF_INF; low++)
		check_rounding(low);
	CHECK(vk_float_to_half(FLT_MIN) == 0 && vk_float_to_half(1e-45f) == 0, "small");
	CHECK(vk_float_to_half(FLT_MAX) == VK_HALF_INF && vk_float_to_half(-INFINITY) == 0xfc00, "large");
}

/* The literal [number] in memory that ends at a guard page, read; false: refused. */
static bool
read_one(const char *number, float *value)
{
	static char *page = NULL;
	static const size_t size = 4096;
	static float out[VK_MAX_DIM];
	size_t		len = strlen(number) + 3;
	VkReadError error;
	char	   *literal;
	int			dim;

	if (page == NULL)
		page = guarded_alloc(size);
	literal = page + size - len;
	snprintf(literal, len, "[%s]", number);
	if (!vk_text_read_dense(literal, VK_ELEM_FLOAT4, -1, out, &dim, &error))
		return false;
	CHECK(dim == 1, "%s", number);
	*value = out[0];
	return true;
}

/* strtof() of glibc is correctly rounded: it is the oracle. */
static void
check_number(const char *number)
{
	char	   *end;
	float		expected = strtof(number, &end);
	float		value;

	if (!read_one(number, &value))
		CHECK(!isfinite(expected) || *end != '\0', "refused %s", number);
	else
		CHECK(vk_float_bits(value) == vk_float_bits(expected), "%s gives %a, not %a", number, value, expected);
}

static void
test_spellings(void)
{
	static const char *const numbers[] = {
		"0", "-0", "+0", "00", "0.", ".0", "-.0", "1.", ".5", "007.50", "1e0", "1E5", "1e+5", "1e-5", "0e999", "0e99999", "-0e-9", "0x", "0x1p-3", "0X1.8P1",
		"1e38", "3.4028234e38", "3.4028235e38", "3.40282346638528859811704183484516925440e38", "3.4028236e38", "1e39", "1e99", "1e999", "1e99999",
		"340282346638528859811704183484516925440", "1.17549435e-38", "1.1754943e-38", "1e-40", "1.4e-45", "7.1e-46", "7e-46", "1e-46", "1e-99", "1e-400",
		"16777216", "16777217", "16777218", "16777219", "16777217.0000000001", "16777216.9999999999", "33554434", "33554435",
		"9007199254740993", "18446744073709551615", "9999999999999999999", "99999999999999999999", "1234567890123456789012345678901234567890",
		"0.000000000000000001", "0.0000000000000000001", "0.00000000000000000001", "1.0000000596046447754", "1.00000005960464477539062", "1.00000005960464477539063",
		"1.00000005960464477539061", "8388608.5", "8388609.5", "0.1", "0.2", "0.3", "1e23", "8.5e-20", "1e22", "1e-22", "123456789e-64", "1e64", "1e-64", "1e65"
	};

	for (size_t i = 0; i < lengthof(numbers); i++)
		check_number(numbers[i]);
}

/* Random decimals: up to 24 digits, a point anywhere, any exponent. */
static void
test_decimals(void)
{
	for (int round = 0; round < 2000000; round++)
	{
		char		number[64];
		char	   *at = number;
		int			digits = 1 + random_below(24);
		int			point = random_below(30);

		if (random_below(3) == 0)
			*at++ = '-';
		for (int i = 0; i < digits; i++)
		{
			if (i == point)
				*at++ = '.';
			*at++ = '0' + random_below(10);
		}
		*at = '\0';
		if (random_below(2) == 0)
			sprintf(at, "e%d", random_below(130) - 70);
		check_number(number);
	}
}

/* Floats of every size in every precision, and the midpoints between them. */
static void
test_floats(void)
{
	for (int round = 0; round < 1000000; round++)
	{
		float		value = vk_bits_float((uint32) random_bits());
		char		number[400];

		if (!isfinite(value))
			continue;
		sprintf(number, "%.*g", 1 + random_below(20), value);
		check_number(number);
		if (round % 4 == 0)
		{
			double		middle = ((double) value + nextafterf(value, INFINITY)) / 2;

			sprintf(number, "%.*g", 15 + random_below(6), middle);
			check_number(number);
			sprintf(number, "%.*g", 60, nextafter(middle, random_below(2) ? 0 : INFINITY));
			check_number(number);
		}
	}
}

/* A message in memory that ends at a guard page. */
static void
read_message(const unsigned char *data, size_t len, VkElem elem)
{
	static float values[VK_MAX_DIM];
	static int32 indices[VK_SPARSE_MAX_NNZ];
	VkReadError error;
	int			dim;
	int			nnz;

	if (elem == VK_ELEM_SPARSE)
	{
		if (vk_wire_sparse_header(data, len, -1, &dim, &nnz, &error) &&
			vk_wire_sparse_body(data, dim, nnz, indices, values, &error))
			for (int i = 0; i < nnz; i++)
				CHECK(indices[i] >= 0 && indices[i] < dim && (i == 0 || indices[i] > indices[i - 1]) &&
					  values[i] != 0 && isfinite(values[i]), "item %d", i);
	}
	else if (vk_wire_dense_header(data, len, elem, -1, &dim, &error))
	{
		CHECK(dim >= 1 && dim <= VK_MAX_DIM && vk_wire_dense_size(elem, dim) <= len, "%d dimensions", dim);
		(void) vk_wire_dense_body(data, elem, dim, values, &error);
	}
}

static void
test_messages(void)
{
	static const unsigned char dense[] = {0, 3, 0, 0, 0x3f, 0x80, 0, 0, 0x40, 0, 0, 0, 0x80, 0, 0, 0};
	static const unsigned char sparse[] = {0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0x3f, 0x80, 0, 0, 0x40, 0, 0, 0};
	unsigned char *page = (unsigned char *) guarded_alloc(4096);

	for (int elem = VK_ELEM_FLOAT4; elem <= VK_ELEM_SPARSE; elem++)
	{
		const unsigned char *message = elem == VK_ELEM_SPARSE ? sparse : dense;
		size_t		full = elem == VK_ELEM_SPARSE ? sizeof(sparse) : sizeof(dense);

		for (size_t len = 0; len <= full; len++)
		{
			unsigned char *data = page + 4096 - len;

			memcpy(data, message, len);
			read_message(data, len, elem);
			for (size_t i = 0; i < len; i++)
			{
				for (int byte = 0; byte < 256; byte++)
				{
					data[i] = (unsigned char) byte;
					read_message(data, len, elem);
				}
				data[i] = message[i];
			}
		}
	}
}

/* A sparse literal is sorted, rid of zeros, and refused for a duplicate or an index outside. */
static void
test_sparse(void)
{
	static VkSparseItem items[VK_SPARSE_MAX_NNZ];
	static char literal[VK_SPARSE_MAX_NNZ * 24];
	VkReadError error;

	for (int round = 0; round < 200; round++)
	{
		int			dim = 1 + random_below(round % 2 ? 50 : 1000000);
		int			count = random_below(Min(dim, 3000) + 1);
		int			step = dim / Max(count, 1);
		int			first = random_below(Max(step, 1));
		char	   *at = literal;
		int			nnz;
		int			got_dim;

		/* count indices, one step apart, in an order that is not ascending */
		*at++ = '{';
		for (int i = 0; i < count; i++)
		{
			int			place = (int) ((int64) i * 7919 % count);

			if (count % 7919 == 0)
				place = count - 1 - i;
			at += sprintf(at, "%s%d:%d", i == 0 ? "" : ",", first + place * step + 1, place % 10);
		}
		sprintf(at, "}/%d", dim);
		CHECK(vk_text_read_sparse(literal, dim, items, &nnz, &got_dim, &error), "%s", literal);
		CHECK(got_dim == dim && nnz == count - (count + 9) / 10, "%d of %d", nnz, count);
		for (int i = 0; i < nnz; i++)
			CHECK(items[i].value != 0 && (i == 0 || items[i].index > items[i - 1].index) &&
				  (items[i].index - first) / step % 10 == items[i].value, "item %d", i);
	}
}

int
main(void)
{
	test_half_to_float();
	test_float_to_half();
	test_spellings();
	test_decimals();
	test_floats();
	test_messages();
	test_sparse();
	return 0;
}
