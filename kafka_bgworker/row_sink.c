/*-------------------------------------------------------------------------
 *
 * row_sink.c
 *	  Turns the values a format finds in a message into a row of the target.
 *
 * A row is decoded in two parts, the message's key and its value, and then
 * completed: what only the key has is taken from there, what both have must
 * agree, and what is missing is null, or left to its default.
 *
 * Values of the common types are made here and complain through the problem
 * they leave; those of all other types are made by the type's input
 * function, which raises an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/target.h"
#include "types/types.h"

#define MAX_NAME_IN_ERROR	80

typedef struct SparseItem
{
	int64		index;
	float		value;
} SparseItem;

struct VkRowSink
{
	const VkTarget *target;
	const VkMessageFormat *format;
	VkProblem  *problem;
	bool		in_key;			/* which part is under way */

	Datum	   *values;			/* of the part under way */
	bool	   *nulls;
	bool	   *given;
	Datum	   *key_values;		/* of the key part, kept for the end */
	bool	   *key_nulls;
	bool	   *key_given;
	Datum	   *value_values;
	bool	   *value_nulls;
	bool	   *value_given;

	/* room, reused from message to message */
	float	   *floats;
	int64	   *indices;
	SparseItem *items;
	char	   *scratch;
	size_t		scratch_size;

	/* the array under way, -1: none */
	int			array_column;
	Datum	   *elements;
	bool	   *element_nulls;
	int			element_count;
	int			element_size;
};

VkRowSink *
vk_sink_create(const VkTarget *target, const VkMessageFormat *format)
{
	VkRowSink  *sink = palloc0(sizeof(VkRowSink));
	int			columns = Max(target->column_count, 1);

	sink->target = target;
	sink->format = format;
	sink->key_values = palloc(sizeof(Datum) * columns);
	sink->key_nulls = palloc(sizeof(bool) * columns);
	sink->key_given = palloc(sizeof(bool) * columns);
	sink->value_given = palloc(sizeof(bool) * columns);
	sink->floats = palloc(sizeof(float) * VK_MAX_ELEMENTS);
	sink->indices = palloc(sizeof(int64) * VK_MAX_ELEMENTS);
	sink->items = palloc(sizeof(SparseItem) * VK_MAX_ELEMENTS);
	sink->element_size = 64;
	sink->elements = palloc(sizeof(Datum) * sink->element_size);
	sink->element_nulls = palloc(sizeof(bool) * sink->element_size);
	return sink;
}

/*
 * Problems
 */

/* Cuts text to whole characters: messages need not be valid in the database's encoding. */
static void
make_printable(char *text)
{
	for (unsigned char *c = (unsigned char *) text; *c; c++)
	{
		if (*c < 0x20 || *c >= 0x7f)
			*c = '?';
	}
}

bool
vk_sink_error(VkRowSink *sink, const char *sqlstate, const char *format,...)
{
	va_list		args;

	if (sink->problem->sqlstate[0] != '\0')
		return false;
	strlcpy(sink->problem->sqlstate, sqlstate, sizeof(sink->problem->sqlstate));
	va_start(args, format);
	vsnprintf(sink->problem->text, sizeof(sink->problem->text), format, args);
	va_end(args);
	make_printable(sink->problem->text);
	return false;
}

static const char *
column_name(VkRowSink *sink, int column)
{
	return NameStr(sink->target->columns[column].name);
}

static bool
wrong_type(VkRowSink *sink, int column, const char *given)
{
	return vk_sink_error(sink, VK_SQLSTATE_TYPE, "column \"%s\" does not take %s", column_name(sink, column), given);
}

static bool
out_of_range(VkRowSink *sink, int column)
{
	return vk_sink_error(sink, VK_SQLSTATE_RANGE, "number out of range for column \"%s\"", column_name(sink, column));
}

/*
 * Columns
 */

int
vk_sink_find(VkRowSink *sink, const char *name, size_t len, int hint)
{
	const VkTarget *target = sink->target;

	/*
	 * Fields come in the same order in every message, so the next one is
	 * mostly the right one.
	 */
	for (int i = 0; i < target->column_count; i++)
	{
		int			at = hint + i < target->column_count ? hint + i : hint + i - target->column_count;
		const VkColumn *column = &target->columns[at];

		if (column->name_len == (int) len && memcmp(NameStr(column->name), name, len) == 0)
			return sink->in_key && !column->is_permanent ? -1 : at;
	}
	return -1;
}

int
vk_sink_vector_column(VkRowSink *sink)
{
	return sink->target->vector_column;
}

int
vk_sink_permanent_column(VkRowSink *sink, int n)
{
	return n < sink->target->permanent_count ? sink->target->permanent[n] : -1;
}

VkColumnKind
vk_sink_kind(VkRowSink *sink, int column)
{
	return sink->target->columns[column].kind;
}

bool
vk_sink_unknown(VkRowSink *sink, const char *name, size_t len)
{
	if (!sink->target->unknown_is_error || sink->in_key)
		return true;
	return vk_sink_error(sink, "42703", "field \"%.*s\" is not a column of the stream",
						 (int) Min(len, MAX_NAME_IN_ERROR), name);
}

/* Takes a value: of an element of the array under way, or of the column. */
static bool
put(VkRowSink *sink, int column, Datum value, bool isnull)
{
	if (sink->array_column >= 0)
	{
		if (sink->element_count == sink->element_size)
		{
			sink->element_size *= 2;
			sink->elements = repalloc(sink->elements, sizeof(Datum) * sink->element_size);
			sink->element_nulls = repalloc(sink->element_nulls, sizeof(bool) * sink->element_size);
		}
		sink->elements[sink->element_count] = value;
		sink->element_nulls[sink->element_count++] = isnull;
		return true;
	}
	sink->values[column] = value;
	sink->nulls[column] = isnull;
	sink->given[column] = true;
	return true;
}

/* A value for which only the type's input function will do.  Raises its errors. */
static bool
put_through_input(VkRowSink *sink, int column, const char *text, size_t len)
{
	const VkColumn *desc = &sink->target->columns[column];
	char	   *copy;

	if (memchr(text, '\0', len))
		return vk_sink_error(sink, VK_SQLSTATE_MALFORMED, "column \"%s\" cannot take a zero byte", column_name(sink, column));
	if (!pg_verify_mbstr(PG_UTF8, text, len, true))
		return vk_sink_error(sink, "22021", "string for column \"%s\" is not valid UTF-8", column_name(sink, column));
	copy = pnstrdup(text, len);
	if (GetDatabaseEncoding() != PG_UTF8)
		copy = pg_any_to_server(copy, len, PG_UTF8);
	return put(sink, column, InputFunctionCall(unconstify(FmgrInfo *, &desc->input), copy, desc->io_param, desc->io_typmod), false);
}

/*
 * Values
 */

bool
vk_sink_null(VkRowSink *sink, int column)
{
	return put(sink, column, (Datum) 0, true);
}

bool
vk_sink_bool(VkRowSink *sink, int column, bool value)
{
	const VkColumn *desc = &sink->target->columns[column];

	if (desc->type == VK_TYPE_BOOL)
		return put(sink, column, BoolGetDatum(value), false);
	if (desc->takes_bools)
		return put_through_input(sink, column, value ? "true" : "false", value ? 4 : 5);
	return wrong_type(sink, column, "a boolean");
}

bool
vk_sink_int64(VkRowSink *sink, int column, int64_t value)
{
	switch (sink->target->columns[column].type)
	{
		case VK_TYPE_INT2:
			if (value < PG_INT16_MIN || value > PG_INT16_MAX)
				return out_of_range(sink, column);
			return put(sink, column, Int16GetDatum((int16) value), false);
		case VK_TYPE_INT4:
			if (value < PG_INT32_MIN || value > PG_INT32_MAX)
				return out_of_range(sink, column);
			return put(sink, column, Int32GetDatum((int32) value), false);
		case VK_TYPE_INT8:
			return put(sink, column, Int64GetDatum(value), false);
		default:
			{
				char		literal[MAXINT8LEN + 1];
				int			len = pg_lltoa(value, literal);

				return vk_sink_number(sink, column, literal, len);
			}
	}
}

bool
vk_sink_double(VkRowSink *sink, int column, double value)
{
	switch (sink->target->columns[column].type)
	{
		case VK_TYPE_FLOAT8:
			return put(sink, column, Float8GetDatum(value), false);
		case VK_TYPE_FLOAT4:
			if (isfinite(value) && (fabs(value) > FLT_MAX || (value != 0 && (float) value == 0)))
				return out_of_range(sink, column);
			return put(sink, column, Float4GetDatum((float) value), false);
		default:
			{
				char		literal[64];
				int			len = snprintf(literal, sizeof(literal), "%.17g", value);

				return vk_sink_number(sink, column, literal, len);
			}
	}
}

/* The integer a literal stands for; false for one with a fraction, an exponent or too many digits. */
static bool
literal_to_int64(const char *literal, size_t len, int64 *value)
{
	bool		negative = len > 0 && literal[0] == '-';
	uint64		digits = 0;
	size_t		at = negative ? 1 : 0;

	if (len - at > 19 || at == len)
		return false;
	for (; at < len; at++)
	{
		if (literal[at] < '0' || literal[at] > '9')
			return false;
		digits = digits * 10 + (literal[at] - '0');
	}
	if (digits > (uint64) PG_INT64_MAX + (negative ? 1 : 0))
		return false;
	*value = negative ? (int64) (0 - digits) : (int64) digits;
	return true;
}

static bool
put_float(VkRowSink *sink, int column, const char *literal, size_t len)
{
	char	   *copy = pnstrdup(literal, len);
	double		value;

	/*
	 * strtof and strtod round to nearest; the grammar of the literal is
	 * checked.
	 */
	if (sink->target->columns[column].type == VK_TYPE_FLOAT4)
		value = strtof(copy, NULL);
	else
		value = strtod(copy, NULL);
	pfree(copy);
	if (!isfinite(value))
		return out_of_range(sink, column);
	if (sink->target->columns[column].type == VK_TYPE_FLOAT4)
		return put(sink, column, Float4GetDatum((float) value), false);
	return put(sink, column, Float8GetDatum(value), false);
}

bool
vk_sink_number(VkRowSink *sink, int column, const char *literal, size_t len)
{
	const VkColumn *desc = &sink->target->columns[column];
	int64		value;

	switch (desc->type)
	{
		case VK_TYPE_INT2:
		case VK_TYPE_INT4:
		case VK_TYPE_INT8:
			if (!literal_to_int64(literal, len, &value))
				return vk_sink_error(sink, VK_SQLSTATE_RANGE, "column \"%s\" does not take the number %.*s",
									 column_name(sink, column), (int) Min(len, 40), literal);
			return vk_sink_int64(sink, column, value);
		case VK_TYPE_FLOAT4:
		case VK_TYPE_FLOAT8:
			return put_float(sink, column, literal, len);
		default:
			if (desc->takes_numbers)
				return put_through_input(sink, column, literal, len);
			return wrong_type(sink, column, "a number");
	}
}

static bool
put_text(VkRowSink *sink, int column, const char *string, size_t len)
{
	if (memchr(string, '\0', len))
		return vk_sink_error(sink, VK_SQLSTATE_MALFORMED, "column \"%s\" cannot take a zero byte", column_name(sink, column));
	if (!pg_verify_mbstr(PG_UTF8, string, len, true))
		return vk_sink_error(sink, "22021", "string for column \"%s\" is not valid UTF-8", column_name(sink, column));
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		char	   *converted = pg_any_to_server(string, len, PG_UTF8);

		/*
		 * The same bytes, without a zero byte behind them, in an SQL_ASCII
		 * database.
		 */
		if (converted != string)
			len = strlen(converted);
		string = converted;
	}
	return put(sink, column, PointerGetDatum(cstring_to_text_with_len(string, len)), false);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, with or without the dashes. */
static bool
put_uuid(VkRowSink *sink, int column, const char *string, size_t len)
{
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));
	size_t		at = 0;

	for (int i = 0; i < UUID_LEN; i++)
	{
		int			high;
		int			low;

		if (len == 36 && (i == 4 || i == 6 || i == 8 || i == 10) && string[at++] != '-')
			break;
		if (at + 2 > len)
			break;
		high = hex_value(string[at]);
		low = hex_value(string[at + 1]);
		if (high < 0 || low < 0)
			break;
		uuid->data[i] = (unsigned char) (high << 4 | low);
		at += 2;
		if (i == UUID_LEN - 1 && at == len)
			return put(sink, column, UUIDPGetDatum(uuid), false);
	}
	return vk_sink_error(sink, VK_SQLSTATE_MALFORMED, "string for column \"%s\" is not a uuid", column_name(sink, column));
}

bool
vk_sink_string(VkRowSink *sink, int column, const char *string, size_t len)
{
	const VkColumn *desc = &sink->target->columns[column];

	switch (desc->type)
	{
		case VK_TYPE_TEXT:
			return put_text(sink, column, string, len);
		case VK_TYPE_UUID:
			return put_uuid(sink, column, string, len);
		case VK_TYPE_INT2:
		case VK_TYPE_INT4:
		case VK_TYPE_INT8:
		case VK_TYPE_FLOAT4:
		case VK_TYPE_FLOAT8:
		case VK_TYPE_BOOL:
			return wrong_type(sink, column, "a string");
		default:
			return put_through_input(sink, column, string, len);
	}
}

bool
vk_sink_json(VkRowSink *sink, int column, const char *json, size_t len)
{
	if (len == 4 && memcmp(json, "null", 4) == 0)
		return vk_sink_null(sink, column);
	return put_through_input(sink, column, json, len);
}

bool
vk_sink_guid(VkRowSink *sink, int column, const unsigned char *bytes)
{
	pg_uuid_t  *uuid;

	if (sink->target->columns[column].type != VK_TYPE_UUID)
		return wrong_type(sink, column, "a guid");
	uuid = palloc(sizeof(pg_uuid_t));
	memcpy(uuid->data, bytes, UUID_LEN);
	return put(sink, column, UUIDPGetDatum(uuid), false);
}

bool
vk_sink_time(VkRowSink *sink, int column, int64_t seconds, int32_t nanos)
{
	int64		from_epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	TimestampTz value;

	if (sink->target->columns[column].type != VK_TYPE_TIMESTAMPTZ)
		return wrong_type(sink, column, "a time");
	if (nanos < 0 || nanos > 999999999 ||
		pg_sub_s64_overflow(seconds, from_epoch, &value) ||
		pg_mul_s64_overflow(value, USECS_PER_SEC, &value) ||
		pg_add_s64_overflow(value, nanos / 1000, &value) ||
		!IS_VALID_TIMESTAMP(value))
		return vk_sink_error(sink, "22008", "time out of range for column \"%s\"", column_name(sink, column));
	return put(sink, column, TimestampTzGetDatum(value), false);
}

bool
vk_sink_array_begin(VkRowSink *sink, int column)
{
	sink->array_column = column;
	sink->element_count = 0;
	return true;
}

bool
vk_sink_array_end(VkRowSink *sink, int column)
{
	const VkColumn *desc = &sink->target->columns[column];
	int			dims[1] = {sink->element_count};
	int			lower[1] = {1};
	ArrayType  *array;

	sink->array_column = -1;
	if (sink->element_count == 0)
		array = construct_empty_array(desc->element);
	else
		array = construct_md_array(sink->elements, sink->element_nulls, 1, dims, lower, desc->element,
								   desc->element_len, desc->element_byval, desc->element_align);
	return put(sink, column, PointerGetDatum(array), false);
}

/*
 * Vectors
 */

float *
vk_sink_floats(VkRowSink *sink, size_t count)
{
	Assert(count <= VK_MAX_ELEMENTS);
	return sink->floats;
}

int64_t *
vk_sink_indices(VkRowSink *sink, size_t count)
{
	Assert(count <= VK_MAX_ELEMENTS);
	return sink->indices;
}

char *
vk_sink_scratch(VkRowSink *sink, size_t size)
{
	if (size > sink->scratch_size)
	{
		MemoryContext context = GetMemoryChunkContext(sink->floats);

		if (sink->scratch)
			pfree(sink->scratch);
		sink->scratch = NULL;
		sink->scratch_size = 0;
		sink->scratch = MemoryContextAllocHuge(context, size);
		sink->scratch_size = size;
	}
	return sink->scratch;
}

/* The float16 nearest to a float, ties to even; *overflow when it is beyond the largest. */
static VkHalf
float_to_half(float value, bool *overflow)
{
	uint32		bits;
	uint32		sign;
	uint32		magnitude;

	memcpy(&bits, &value, sizeof(bits));
	sign = (bits >> 16) & 0x8000;
	magnitude = bits & 0x7fffffff;
	if (magnitude >= 0x477ff000)	/* 65520 and beyond round to infinity */
	{
		*overflow = true;
		return 0;
	}
	if (magnitude < 0x38800000) /* below 2^-14: subnormal, in units of 2^-24 */
		return (VkHalf) (sign | (uint32) rintf(fabsf(value) * 16777216.0f));
	magnitude += 0xfff + ((magnitude >> 13) & 1);
	return (VkHalf) (sign | ((magnitude - 0x38000000) >> 13));
}

bool
vk_sink_dense(VkRowSink *sink, int column, size_t count)
{
	const VkColumn *desc = &sink->target->columns[column];
	bool		overflow = false;

	if (count == 0)
		return vk_sink_error(sink, "22000", "the vector for column \"%s\" has no dimensions", column_name(sink, column));
	if (desc->typmod > 0 && (int) count != desc->typmod)
		return vk_sink_error(sink, "22000", "the vector for column \"%s\" has %zu dimensions, not %d",
							 column_name(sink, column), count, desc->typmod);
	if (desc->type == VK_TYPE_VECTOR)
	{
		VkVector   *vector = palloc(VK_VECTOR_SIZE(count));

		SET_VARSIZE(vector, VK_VECTOR_SIZE(count));
		vector->dim = count;
		vector->unused = 0;
		memcpy(vector->x, sink->floats, sizeof(float) * count);
		return put(sink, column, PointerGetDatum(vector), false);
	}
	else
	{
		VkHalfvec  *vector = palloc(VK_HALFVEC_SIZE(count));

		SET_VARSIZE(vector, VK_HALFVEC_SIZE(count));
		vector->dim = count;
		vector->unused = 0;
		for (size_t i = 0; i < count; i++)
			vector->x[i] = float_to_half(sink->floats[i], &overflow);
		if (overflow)
			return vk_sink_error(sink, VK_SQLSTATE_RANGE, "a number of the vector for column \"%s\" is out of range for halfvec",
								 column_name(sink, column));
		return put(sink, column, PointerGetDatum(vector), false);
	}
}

static int
compare_items(const void *a, const void *b)
{
	int64		first = ((const SparseItem *) a)->index;
	int64		second = ((const SparseItem *) b)->index;

	return (first > second) - (first < second);
}

bool
vk_sink_sparse(VkRowSink *sink, int column, size_t value_count, size_t index_count)
{
	const VkColumn *desc = &sink->target->columns[column];
	int64		dim = desc->typmod > 0 ? desc->typmod : VK_SPARSE_MAX_DIM;
	bool		sorted = true;
	VkSparsevec *vector;
	float	   *out;
	int			nnz = 0;

	if (value_count != index_count)
		return vk_sink_error(sink, "22000", "the vector for column \"%s\" has %zu values and %zu indices",
							 column_name(sink, column), value_count, index_count);
	for (size_t i = 0; i < value_count; i++)
	{
		sink->items[i].index = sink->indices[i];
		sink->items[i].value = sink->floats[i];
		if (sink->indices[i] < 0 || sink->indices[i] >= dim)
			return vk_sink_error(sink, VK_SQLSTATE_RANGE, "index %lld of the vector for column \"%s\" is not below %lld",
								 (long long) sink->indices[i], column_name(sink, column), (long long) dim);
		sorted &= i == 0 || sink->indices[i - 1] < sink->indices[i];
		nnz += sink->floats[i] != 0;
	}
	if (!sorted)
		qsort(sink->items, value_count, sizeof(SparseItem), compare_items);
	for (size_t i = 1; i < value_count; i++)
	{
		if (sink->items[i - 1].index == sink->items[i].index)
			return vk_sink_error(sink, "22000", "the vector for column \"%s\" has index %lld twice",
								 column_name(sink, column), (long long) sink->items[i].index);
	}

	vector = palloc0(VK_SPARSEVEC_SIZE(nnz));
	SET_VARSIZE(vector, VK_SPARSEVEC_SIZE(nnz));
	vector->dim = dim;
	vector->nnz = nnz;
	out = VK_SPARSEVEC_VALUES(vector);
	nnz = 0;
	for (size_t i = 0; i < value_count; i++)
	{
		if (sink->items[i].value == 0)
			continue;
		vector->indices[nnz] = sink->items[i].index;
		out[nnz++] = sink->items[i].value;
	}
	return put(sink, column, PointerGetDatum(vector), false);
}

/*
 * Messages
 */

static void
begin_part(VkRowSink *sink, bool in_key)
{
	sink->in_key = in_key;
	sink->values = in_key ? sink->key_values : sink->value_values;
	sink->nulls = in_key ? sink->key_nulls : sink->value_nulls;
	sink->given = in_key ? sink->key_given : sink->value_given;
	sink->array_column = -1;
	memset(sink->given, 0, sizeof(bool) * sink->target->column_count);
}

/* A permanent column: from the value, or from the key, and the same in both. */
static bool
complete_permanent(VkRowSink *sink, int column, bool is_delete)
{
	const VkColumn *desc = &sink->target->columns[column];

	if (sink->key_given[column] && !sink->value_given[column])
	{
		sink->value_values[column] = sink->key_values[column];
		sink->value_nulls[column] = sink->key_nulls[column];
		sink->value_given[column] = true;
	}
	else if (sink->key_given[column] &&
			 (sink->key_nulls[column] != sink->value_nulls[column] ||
			  (!sink->key_nulls[column] &&
			   !DatumGetBool(FunctionCall2Coll(unconstify(FmgrInfo *, &desc->equal), desc->collation,
											   sink->key_values[column], sink->value_values[column])))))
		return vk_sink_error(sink, "22000", "column \"%s\" differs between the key and the value of the message",
							 column_name(sink, column));
	if ((desc->is_key || is_delete) && (!sink->value_given[column] || sink->value_nulls[column]))
		return vk_sink_error(sink, VK_SQLSTATE_MISSING, "key column \"%s\" is missing or null", column_name(sink, column));
	return true;
}

static bool
complete_row(VkRowSink *sink, VkRow *row)
{
	const VkTarget *target = sink->target;

	for (int i = 0; i < target->permanent_count; i++)
	{
		if (!complete_permanent(sink, target->permanent[i], row->is_delete))
			return false;
	}
	row->present = 0;
	for (int i = 0; i < target->column_count; i++)
	{
		if (!sink->value_given[i])
		{
			row->values[i] = (Datum) 0;
			row->nulls[i] = true;
		}
		else if (target->columns[i].optional >= 0)
			row->present |= UINT64CONST(1) << target->columns[i].optional;
	}
	return true;
}

/*
 * Whether a row belongs to another shard, by its key alone where that names
 * all permanent columns: then it is known even if the value cannot be read.
 */
static bool
is_foreign(VkRowSink *sink)
{
	const VkTarget *target = sink->target;

	if (target->shard == NULL)
		return false;
	for (int i = 0; i < target->permanent_count; i++)
	{
		if (!sink->given[target->permanent[i]])
			return false;
	}
	return !vk_target_keeps(target, sink->values, sink->nulls);
}

bool
vk_sink_decode(VkRowSink *sink, const VkMessage *message, VkRow *row, VkProblem *problem)
{
	int			columns = Max(sink->target->column_count, 1);

	sink->problem = problem;
	problem->sqlstate[0] = '\0';
	row->values = palloc(sizeof(Datum) * columns + sizeof(bool) * columns);
	row->nulls = (bool *) (row->values + columns);
	row->is_delete = message->value == NULL;
	row->is_foreign = false;
	sink->value_values = row->values;
	sink->value_nulls = row->nulls;

	begin_part(sink, true);
	if (message->key && !sink->format->read_key(sink, message->key, message->key_len))
		return false;
	if (!message->key && row->is_delete)
		return vk_sink_error(sink, VK_SQLSTATE_MISSING, "the message has neither key nor value");
	row->is_foreign = is_foreign(sink);
	begin_part(sink, false);
	if (!row->is_delete && !sink->format->read_value(sink, message->value, message->value_len))
		return false;
	if (!complete_row(sink, row))
		return false;
	row->is_foreign = is_foreign(sink);
	return true;
}
