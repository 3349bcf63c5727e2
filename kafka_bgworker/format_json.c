/*-------------------------------------------------------------------------
 *
 * format_json.c
 *	  Messages in JSON: the key is an object of the fields that identify a
 *	  data point, the value an object of all fields.
 *
 *	  {"id": 7, "lang": "en", "vec": [0.25, 1e-3]}
 *	  {"id": 7, "vec": {"indices": [3, 12], "values": [1, 0.5]}}
 *
 * One pass, no tree: each value goes to the column of its name as it is met.
 * The grammar is that of RFC 8259, checked in full, also for values that
 * nobody wants.  A vector's numbers become floats here, by the nearest float
 * to the decimal number, as strtof would have it: almost always through one
 * multiplication or division in double precision, whose error is known to be
 * too small to matter, and through strtof where it might matter.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kafka_bgworker/message.h"

/* Deeper nesting is not a message anybody sends. */
#define MAX_DEPTH			256

/* Characters of a number in an error. */
#define MAX_NAMED			40

/* Digits that fit a uint64 whatever they are. */
#define MAX_DIGITS			19
#define MAX_EXACT_POWER		22

/*
 * A double next to the middle between two floats may have come from either
 * side.  The double below is off by less than 2 units in its last place; the
 * 29 bits a float has less than a double then tell how near the middle it is.
 */
#define EXTRA_BITS_MASK		UINT64_C(0x1fffffff)
#define EXTRA_BITS_MIDDLE	UINT64_C(0x10000000)
#define MIDDLE_MARGIN		4

/* Longest number handed to strtof: beyond, further digits cannot change the result. */
#define MAX_NUMBER			1100

typedef struct Reader
{
	VkRowSink  *sink;
	const char *begin;
	const char *at;
	const char *end;
} Reader;

typedef struct Slice
{
	const char *start;
	size_t		len;
} Slice;

static bool
malformed(Reader *reader, const char *what)
{
	return vk_sink_error(reader->sink, VK_SQLSTATE_MALFORMED, "message is not JSON: %s at byte %zu",
						 what, (size_t) (reader->at - reader->begin) + 1);
}

static inline void
skip_space(Reader *reader)
{
	while (reader->at < reader->end &&
		   (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
		reader->at++;
}

/* The next character that is not space, 0 at the end. */
static inline char
peek(Reader *reader)
{
	skip_space(reader);
	return reader->at < reader->end ? *reader->at : '\0';
}

static inline bool
expect(Reader *reader, char c, const char *what)
{
	if (peek(reader) != c)
		return malformed(reader, what);
	reader->at++;
	return true;
}

/*
 * Strings
 */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The four digits after \u. */
static bool
read_hex(Reader *reader, uint32_t *code)
{
	*code = 0;
	for (int i = 0; i < 4; i++)
	{
		int			digit = reader->at < reader->end ? hex_digit(*reader->at) : -1;

		if (digit < 0)
			return malformed(reader, "four hexadecimal digits expected");
		*code = *code * 16 + (uint32_t) digit;
		reader->at++;
	}
	return true;
}

static char *
put_utf8(char *out, uint32_t code)
{
	if (code < 0x80)
		*out++ = (char) code;
	else if (code < 0x800)
	{
		*out++ = (char) (0xC0 | (code >> 6));
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	else if (code < 0x10000)
	{
		*out++ = (char) (0xE0 | (code >> 12));
		*out++ = (char) (0x80 | ((code >> 6) & 0x3F));
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	else
	{
		*out++ = (char) (0xF0 | (code >> 18));
		*out++ = (char) (0x80 | ((code >> 12) & 0x3F));
		*out++ = (char) (0x80 | ((code >> 6) & 0x3F));
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	return out;
}

/* After "\u": one code point, of one or two escapes. */
static bool
read_unicode_escape(Reader *reader, uint32_t *code)
{
	uint32_t	low;

	if (!read_hex(reader, code))
		return false;
	if (*code >= 0xDC00 && *code <= 0xDFFF)
		return malformed(reader, "second half of a surrogate pair without the first");
	if (*code == 0)
		return malformed(reader, "\\u0000 cannot be stored");
	if (*code < 0xD800 || *code > 0xDBFF)
		return true;
	if (reader->end - reader->at < 2 || reader->at[0] != '\\' || reader->at[1] != 'u')
		return malformed(reader, "first half of a surrogate pair without the second");
	reader->at += 2;
	if (!read_hex(reader, &low))
		return false;
	if (low < 0xDC00 || low > 0xDFFF)
		return malformed(reader, "first half of a surrogate pair without the second");
	*code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

/* After a backslash; writes what it stands for. */
static bool
read_escape(Reader *reader, char **out)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *name;
	uint32_t	code;

	if (reader->at == reader->end)
		return malformed(reader, "unfinished escape");
	if (*reader->at == 'u')
	{
		reader->at++;
		if (!read_unicode_escape(reader, &code))
			return false;
		*out = put_utf8(*out, code);
		return true;
	}
	name = *reader->at ? strchr(names, *reader->at) : NULL;
	if (name == NULL)
		return malformed(reader, "unknown escape");
	*(*out)++ = values[name - names];
	reader->at++;
	return true;
}

/* The rest of a string that has escapes, unescaped into room of the sink. */
static bool
read_escaped_string(Reader *reader, const char *start, Slice *string)
{
	const char *close = reader->at;
	char	   *room;
	char	   *out;

	/*
	 * No escape is shorter than what it stands for, so the raw length is
	 * enough.
	 */
	while (close < reader->end && *close != '"')
		close += *close == '\\' ? 2 : 1;
	if (close >= reader->end)
		return malformed(reader, "unfinished string");
	room = vk_sink_scratch(reader->sink, (size_t) (close - start) + 1);
	out = room + (reader->at - start);
	memcpy(room, start, (size_t) (reader->at - start));
	while (*reader->at != '"')
	{
		char		c = *reader->at++;

		if ((unsigned char) c < 0x20)
			return malformed(reader, "control character in a string");
		if (c != '\\')
			*out++ = c;
		else if (!read_escape(reader, &out))
			return false;
		if (reader->at >= reader->end)
			return malformed(reader, "unfinished string");
	}
	reader->at++;
	string->start = room;
	string->len = (size_t) (out - room);
	return true;
}

/* At the opening quote.  The slice points into the message, or into room of the sink. */
static bool
read_string(Reader *reader, Slice *string)
{
	const char *start = ++reader->at;

	while (reader->at < reader->end && *reader->at != '"')
	{
		if (*reader->at == '\\')
			return read_escaped_string(reader, start, string);
		if ((unsigned char) *reader->at < 0x20)
			return malformed(reader, "control character in a string");
		reader->at++;
	}
	if (reader->at == reader->end)
		return malformed(reader, "unfinished string");
	string->start = start;
	string->len = (size_t) (reader->at - start);
	reader->at++;
	return true;
}

/*
 * Numbers
 */

static inline bool
at_digit(Reader *reader)
{
	return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

/* Checks the grammar; the slice is the literal. */
static bool
read_number(Reader *reader, Slice *number)
{
	const char *start = reader->at;

	if (reader->at < reader->end && *reader->at == '-')
		reader->at++;
	if (!at_digit(reader))
		return malformed(reader, "value expected");
	if (*reader->at == '0')
		reader->at++;
	else
		while (at_digit(reader))
			reader->at++;
	if (reader->at < reader->end && *reader->at == '.')
	{
		reader->at++;
		if (!at_digit(reader))
			return malformed(reader, "digit expected");
		while (at_digit(reader))
			reader->at++;
	}
	if (reader->at < reader->end && (*reader->at == 'e' || *reader->at == 'E'))
	{
		reader->at++;
		if (reader->at < reader->end && (*reader->at == '+' || *reader->at == '-'))
			reader->at++;
		if (!at_digit(reader))
			return malformed(reader, "digit expected");
		while (at_digit(reader))
			reader->at++;
	}
	number->start = start;
	number->len = (size_t) (reader->at - start);
	return true;
}

static const double powers_of_ten[MAX_EXACT_POWER + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/* The float nearest to a literal whose grammar is checked; false when it is out of range. */
static bool
slow_float(const char *literal, size_t len, float *value)
{
	char		buffer[MAX_NUMBER + 1];
	char	   *copy = len <= MAX_NUMBER ? buffer : malloc(len + 1);

	if (copy == NULL)
		return false;
	memcpy(copy, literal, len);
	copy[len] = '\0';
	*value = strtof(copy, NULL);
	if (copy != buffer)
		free(copy);
	return isfinite(*value);
}

/* Turns digits and a power of ten into the nearest float; false where that takes strtof. */
static inline bool
scale_float(uint64_t digits, int power, bool negative, float *value)
{
	double		wide = (double) digits;
	uint64_t	bits;
	int64_t		from_middle;

	if (digits == 0)
	{
		*value = negative ? -0.0f : 0.0f;
		return true;
	}
	if (power < -MAX_EXACT_POWER || power > MAX_EXACT_POWER)
		return false;
	if (power < 0)
		wide /= powers_of_ten[-power];
	else
		wide *= powers_of_ten[power];
	memcpy(&bits, &wide, sizeof(bits));
	from_middle = (int64_t) (bits & EXTRA_BITS_MASK) - (int64_t) EXTRA_BITS_MIDDLE;
	if ((from_middle >= -MIDDLE_MARGIN && from_middle <= MIDDLE_MARGIN) || wide < 2 * FLT_MIN || wide > FLT_MAX / 2)
		return false;
	*value = negative ? -(float) wide : (float) wide;
	return true;
}

/* Digits of a run, and how many of them counted; leading zeros are digits that cost nothing. */
static inline const char *
take_digits(const char *at, const char *end, uint64_t *digits, int *taken)
{
	while (at < end && (unsigned char) (*at - '0') <= 9)
	{
		*digits = *digits * 10 + (unsigned char) (*at - '0');
		*taken += *taken > 0 || *at != '0';
		at++;
	}
	return at;
}

/* A number of a vector. */
static inline bool
read_float(Reader *reader, float *value)
{
	const char *at = reader->at;
	const char *end = reader->end;
	const char *first;
	bool		negative = false;
	uint64_t	digits = 0;
	int			taken = 0;
	int			power = 0;
	Slice		literal;

	if (at < end && *at == '-')
	{
		negative = true;
		at++;
	}
	first = at;
	at = take_digits(at, end, &digits, &taken);
	if (at == first || (*first == '0' && at - first > 1))
		goto slow;
	if (at < end && *at == '.')
	{
		const char *fraction = ++at;

		at = take_digits(at, end, &digits, &taken);
		if (at == fraction)
			goto slow;
		power = -(int) (at - fraction);
	}
	if (taken > MAX_DIGITS)
		goto slow;
	if (at < end && (*at == 'e' || *at == 'E'))
	{
		bool		down = false;
		const char *exponent_start;
		int			exponent = 0;

		at++;
		if (at < end && (*at == '+' || *at == '-'))
			down = *at++ == '-';
		exponent_start = at;
		while (at < end && (unsigned char) (*at - '0') <= 9 && at - exponent_start < 4)
			exponent = exponent * 10 + (*at++ - '0');
		if (at == exponent_start || (at < end && (unsigned char) (*at - '0') <= 9))
			goto slow;
		power += down ? -exponent : exponent;
	}
	if (scale_float(digits, power, negative, value))
	{
		reader->at = at;
		return true;
	}

slow:
	if (!read_number(reader, &literal))
		return false;
	if (!slow_float(literal.start, literal.len, value))
		return vk_sink_error(reader->sink, VK_SQLSTATE_RANGE, "number %.*s is out of range for a vector",
							 (int) (literal.len < MAX_NAMED ? literal.len : MAX_NAMED), literal.start);
	return true;
}

/*
 * Values nobody takes apart
 */

static bool
read_word(Reader *reader, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
		return malformed(reader, "value expected");
	reader->at += len;
	return true;
}

static bool
skip_scalar(Reader *reader)
{
	Slice		slice;

	switch (peek(reader))
	{
		case '"':
			return read_string(reader, &slice);
		case 't':
			return read_word(reader, "true");
		case 'f':
			return read_word(reader, "false");
		case 'n':
			return read_word(reader, "null");
		default:
			return read_number(reader, &slice);
	}
}

/* Opens what begins here; *closed when it is empty and so already closed. */
static bool
skip_open(Reader *reader, char *stack, int *depth, bool *closed)
{
	char		close = *reader->at == '{' ? '}' : ']';

	if (*depth == MAX_DEPTH)
		return malformed(reader, "too deeply nested");
	reader->at++;
	*closed = peek(reader) == close;
	if (*closed)
		reader->at++;
	else
		stack[(*depth)++] = close;
	return true;
}

static bool
skip_name(Reader *reader)
{
	Slice		name;

	if (peek(reader) != '"')
		return malformed(reader, "field name expected");
	return read_string(reader, &name) && expect(reader, ':', "\":\" expected");
}

/* Any value; a loop with a stack of its own, so that no message exhausts the process's. */
static bool
skip_value(Reader *reader)
{
	char		stack[MAX_DEPTH];
	int			depth = 0;

	for (;;)
	{
		char		c = peek(reader);
		bool		closed = true;

		if (c == '{' || c == '[')
		{
			if (!skip_open(reader, stack, &depth, &closed))
				return false;
		}
		else if (!skip_scalar(reader))
			return false;
		while (closed)
		{
			if (depth == 0)
				return true;
			c = peek(reader);
			if (c == stack[depth - 1])
			{
				reader->at++;
				depth--;
				continue;
			}
			if (c != ',')
				return malformed(reader, "\",\" or the end of an object or array expected");
			reader->at++;
			closed = false;
		}
		if (stack[depth - 1] == '}' && !skip_name(reader))
			return false;
	}
}

/*
 * Values for columns
 */

static bool
read_scalar(Reader *reader, int column)
{
	Slice		slice;

	switch (peek(reader))
	{
		case '"':
			return read_string(reader, &slice) && vk_sink_string(reader->sink, column, slice.start, slice.len);
		case 't':
			return read_word(reader, "true") && vk_sink_bool(reader->sink, column, true);
		case 'f':
			return read_word(reader, "false") && vk_sink_bool(reader->sink, column, false);
		case 'n':
			return read_word(reader, "null") && vk_sink_null(reader->sink, column);
		case '{':
		case '[':
			return vk_sink_error(reader->sink, VK_SQLSTATE_TYPE, "an object or array was given where a single value belongs");
		default:
			return read_number(reader, &slice) && vk_sink_number(reader->sink, column, slice.start, slice.len);
	}
}

static bool
read_json(Reader *reader, int column)
{
	const char *start;

	(void) peek(reader);
	start = reader->at;
	if (!skip_value(reader))
		return false;
	return vk_sink_json(reader->sink, column, start, (size_t) (reader->at - start));
}

static bool
read_array(Reader *reader, int column)
{
	if (!expect(reader, '[', "array expected") || !vk_sink_array_begin(reader->sink, column))
		return false;
	if (peek(reader) == ']')
		reader->at++;
	else
		for (;;)
		{
			if (!read_scalar(reader, column))
				return false;
			if (peek(reader) == ']')
			{
				reader->at++;
				break;
			}
			if (!expect(reader, ',', "\",\" or \"]\" expected"))
				return false;
		}
	return vk_sink_array_end(reader->sink, column);
}

/* The numbers of a vector, into room of the sink; *count of them. */
static bool
read_floats(Reader *reader, size_t *count)
{
	float	   *floats = vk_sink_floats(reader->sink, VK_MAX_ELEMENTS);

	*count = 0;
	if (!expect(reader, '[', "array of numbers expected"))
		return false;
	if (peek(reader) == ']')
	{
		reader->at++;
		return true;
	}
	for (;;)
	{
		if (*count == VK_MAX_ELEMENTS)
			return vk_sink_error(reader->sink, "54000", "a vector has more than %d numbers", VK_MAX_ELEMENTS);
		skip_space(reader);
		if (!read_float(reader, &floats[*count]))
			return false;
		(*count)++;
		if (peek(reader) == ']')
		{
			reader->at++;
			return true;
		}
		if (!expect(reader, ',', "\",\" or \"]\" expected"))
			return false;
	}
}

static bool
read_index(Reader *reader, int64_t *index)
{
	Slice		literal;

	if (!read_number(reader, &literal))
		return false;
	*index = 0;
	for (size_t i = 0; i < literal.len; i++)
	{
		if (literal.start[i] < '0' || literal.start[i] > '9' || i > 10)
			return vk_sink_error(reader->sink, VK_SQLSTATE_RANGE, "an index of a vector must be a number between 0 and 999999999");
		*index = *index * 10 + (literal.start[i] - '0');
	}
	return true;
}

static bool
read_indices(Reader *reader, size_t *count)
{
	int64_t    *indices = vk_sink_indices(reader->sink, VK_MAX_ELEMENTS);

	*count = 0;
	if (!expect(reader, '[', "array of indices expected"))
		return false;
	if (peek(reader) == ']')
	{
		reader->at++;
		return true;
	}
	for (;;)
	{
		if (*count == VK_MAX_ELEMENTS)
			return vk_sink_error(reader->sink, "54000", "a vector has more than %d indices", VK_MAX_ELEMENTS);
		skip_space(reader);
		if (!read_index(reader, &indices[*count]))
			return false;
		(*count)++;
		if (peek(reader) == ']')
		{
			reader->at++;
			return true;
		}
		if (!expect(reader, ',', "\",\" or \"]\" expected"))
			return false;
	}
}

static bool
read_dense(Reader *reader, int column)
{
	size_t		count;

	if (peek(reader) == 'n')
		return read_word(reader, "null") && vk_sink_null(reader->sink, column);
	return read_floats(reader, &count) && vk_sink_dense(reader->sink, column, count);
}

/* {"indices": [...], "values": [...]} in either order. */
static bool
read_sparse(Reader *reader, int column)
{
	size_t		index_count = 0;
	size_t		value_count = 0;
	bool		has_indices = false;
	bool		has_values = false;

	if (peek(reader) == 'n')
		return read_word(reader, "null") && vk_sink_null(reader->sink, column);
	if (!expect(reader, '{', "object with indices and values expected"))
		return false;
	do
	{
		Slice		name;

		if (peek(reader) != '"')
			return malformed(reader, "field name expected");
		if (!read_string(reader, &name))
			return false;
		if (!expect(reader, ':', "\":\" expected"))
			return false;
		if (name.len == 7 && memcmp(name.start, "indices", 7) == 0 && !has_indices)
		{
			if (!read_indices(reader, &index_count))
				return false;
			has_indices = true;
		}
		else if (name.len == 6 && memcmp(name.start, "values", 6) == 0 && !has_values)
		{
			if (!read_floats(reader, &value_count))
				return false;
			has_values = true;
		}
		else
			return vk_sink_error(reader->sink, VK_SQLSTATE_TYPE, "a sparse vector is an object of \"indices\" and \"values\"");
	} while (peek(reader) == ',' && reader->at++);
	if (!expect(reader, '}', "\",\" or \"}\" expected"))
		return false;
	if (!has_indices || !has_values)
		return vk_sink_error(reader->sink, VK_SQLSTATE_TYPE, "a sparse vector is an object of \"indices\" and \"values\"");
	return vk_sink_sparse(reader->sink, column, value_count, index_count);
}

static bool
read_column(Reader *reader, int column)
{
	switch (vk_sink_kind(reader->sink, column))
	{
		case VK_COLUMN_DENSE:
			return read_dense(reader, column);
		case VK_COLUMN_SPARSE:
			return read_sparse(reader, column);
		case VK_COLUMN_JSON:
			return read_json(reader, column);
		case VK_COLUMN_ARRAY:
			if (peek(reader) == 'n')
				return read_word(reader, "null") && vk_sink_null(reader->sink, column);
			return read_array(reader, column);
		default:
			return read_scalar(reader, column);
	}
}

static bool
read_object(VkRowSink *sink, const char *text, size_t len)
{
	Reader		reader = {sink, text, text, text + len};
	int			hint = 0;

	if (peek(&reader) != '{')
		return malformed(&reader, "object expected");
	reader.at++;
	if (peek(&reader) == '}')
		reader.at++;
	else
		for (;;)
		{
			Slice		name;
			int			column;

			if (peek(&reader) != '"')
				return malformed(&reader, "field name expected");
			if (!read_string(&reader, &name))
				return false;
			column = vk_sink_find(sink, name.start, name.len, hint);
			if (column < 0 && !vk_sink_unknown(sink, name.start, name.len))
				return false;
			if (!expect(&reader, ':', "\":\" expected"))
				return false;
			if (!(column < 0 ? skip_value(&reader) : read_column(&reader, column)))
				return false;
			hint = column + 1;
			if (peek(&reader) == '}')
			{
				reader.at++;
				break;
			}
			if (!expect(&reader, ',', "\",\" or \"}\" expected"))
				return false;
		}
	skip_space(&reader);
	if (reader.at != reader.end)
		return malformed(&reader, "more after the object");
	return true;
}

const VkMessageFormat vk_format_json = {
	.name = "json",
	.read_key = read_object,
	.read_value = read_object,
};
