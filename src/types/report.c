/*-------------------------------------------------------------------------
 *
 * report.c
 *	  Every error of the types, in one place.
 *
 * Primary messages and SQLSTATEs are those of pgvector, because client
 * libraries and test suites match on them.  What they leave out (which
 * element, where, which value) is in the DETAIL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "common/shortest_dec.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "compat/pgcompat.h"
#include "types/report.h"

/* A token is quoted in a DETAIL up to this many bytes. */
#define MAX_QUOTED		32

typedef struct ElemInfo
{
	const char *name;
	int			max_dim;
} ElemInfo;

static const ElemInfo elem_info[] = {
#define VK_ELEM(id, name) [id] = {#name, id == VK_ELEM_SPARSE ? VK_SPARSE_MAX_DIM : VK_MAX_DIM},
#include "types/elem.def"
};

const char *
vk_elem_name(VkElem elem)
{
	return elem_info[elem].name;
}

static int
code_to_sqlstate(VkReadCode code)
{
	switch (code)
	{
		case VK_READ_SYNTAX:
			return ERRCODE_INVALID_TEXT_REPRESENTATION;
		case VK_READ_OUT_OF_RANGE:
			return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
		case VK_READ_DIM_LIMIT:
		case VK_READ_NNZ_LIMIT:
		case VK_READ_NNZ_ABOVE_DIM:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case VK_READ_SHORT:
			return ERRCODE_PROTOCOL_VIOLATION;
		default:
			return ERRCODE_DATA_EXCEPTION;
	}
}

/* The text of the token, cut to a whole number of characters. */
static char *
quote_token(const VkReadError *error)
{
	size_t		len = error->token_len;

	if (len > MAX_QUOTED)
		len = pg_mbcliplen(error->token, (int) Min(error->token_len, INT_MAX), MAX_QUOTED);
	return pnstrdup(error->token, len);
}

/* errmsg() for what a reader found; literal is NULL for a binary message. */
static int
read_message(const VkReadError *error, VkElem elem, const char *literal)
{
	const char *name = vk_elem_name(elem);

	switch (error->code)
	{
		case VK_READ_SYNTAX:
			return errmsg("invalid input syntax for type %s: \"%s\"", name, literal);
		case VK_READ_OUT_OF_RANGE:
			return errmsg("\"%s\" is out of range for type %s",
						  pnstrdup(error->token, error->token_len), name);
		case VK_READ_NAN:
			return errmsg("NaN not allowed in %s", name);
		case VK_READ_INFINITE:
			return errmsg("infinite value not allowed in %s", name);
		case VK_READ_NO_DIM:
			return errmsg("%s must have at least 1 dimension", name);
		case VK_READ_DIM_LIMIT:
			return errmsg("%s cannot have more than %d dimensions", name, (int) error->limit);
		case VK_READ_DIM_EXPECTED:
			return errmsg("expected %d dimensions, not %d", (int) error->limit, (int) error->value);
		case VK_READ_NNZ_NEGATIVE:
			return errmsg("%s cannot have negative number of elements", name);
		case VK_READ_NNZ_LIMIT:
			return errmsg("%s cannot have more than %d non-zero elements", name, VK_SPARSE_MAX_NNZ);
		case VK_READ_NNZ_ABOVE_DIM:
			return errmsg("%s cannot have more elements than dimensions", name);
		case VK_READ_INDEX_BOUNDS:
			return errmsg("%s index out of bounds", name);
		case VK_READ_INDEX_ORDER:
			return errmsg("%s indices must be in ascending order", name);
		case VK_READ_INDEX_DUPLICATE:
			return errmsg("%s indices must not contain duplicates", name);
		case VK_READ_ZERO:
			return errmsg("binary representation of %s cannot contain zero values", name);
		case VK_READ_UNUSED:
			return errmsg("expected unused to be 0, not %d", (int) error->value);
		case VK_READ_SHORT:
			return errmsg("insufficient data left in message");
	}
	pg_unreachable();
}

/*
 * errdetail() of a syntax error: what was expected, where, and what is there.
 * Where pgvector has a sentence it comes first.
 */
static int
syntax_detail(const VkReadError *error)
{
	bool		sentence = error->why[strlen(error->why) - 1] == '.';
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, sentence ? "%s Found " : "Expected %s, found ", error->why);
	if (error->token_len > 0)
		appendStringInfo(&detail, "\"%s\"", quote_token(error));
	else
		appendStringInfoString(&detail, "the end of input");
	appendStringInfo(&detail, " at position %zu", error->position);
	if (error->element > 0)
		appendStringInfo(&detail, " (element %d)", error->element);
	return errdetail("%s.", detail.data);
}

/* errdetail() for what a reader found; unit is what positions count. */
static int
read_detail(const VkReadError *error, const char *unit)
{
	StringInfoData what;

	if (error->code == VK_READ_SYNTAX)
		return syntax_detail(error);

	/* the offending value: as the user wrote it, else as a number */
	initStringInfo(&what);
	if (error->token_len > 0)
		appendStringInfo(&what, "\"%s\"", quote_token(error));
	else
		appendStringInfo(&what, INT64_FORMAT, error->value);

	switch (error->code)
	{
		case VK_READ_OUT_OF_RANGE:
		case VK_READ_NAN:
		case VK_READ_INFINITE:
		case VK_READ_ZERO:
			if (error->token == NULL)
				return errdetail("It is element %d, at %s %zu.", error->element, unit, error->position);
			return errdetail("Element %d, at %s %zu, is %s.", error->element, unit,
							 error->position, what.data);
		case VK_READ_NO_DIM:
		case VK_READ_NNZ_NEGATIVE:
		case VK_READ_NNZ_LIMIT:
		case VK_READ_DIM_LIMIT:
			if (error->element > 0)
				return errdetail("Element %d is at %s %zu.", error->element, unit, error->position);
			if (error->position > 0)
				return errdetail("Found %s at %s %zu.", what.data, unit, error->position);
			return errdetail("The number given is %s.", what.data);
		case VK_READ_NNZ_ABOVE_DIM:
			return errdetail("There are " INT64_FORMAT " elements and " INT64_FORMAT " dimensions.",
							 error->value, error->limit);
		case VK_READ_INDEX_BOUNDS:
			return errdetail("Element %d, at %s %zu, has index %s, valid are 1 to " INT64_FORMAT ".",
							 error->element, unit, error->position, what.data, error->limit);
		case VK_READ_INDEX_ORDER:
		case VK_READ_INDEX_DUPLICATE:
			return errdetail("Element %d, at %s %zu, has index %s.",
							 error->element, unit, error->position, what.data);
		case VK_READ_SHORT:
			return errdetail("There are " INT64_FORMAT " bytes, " INT64_FORMAT " are needed.",
							 error->value, error->limit);
		case VK_READ_SYNTAX:
		case VK_READ_DIM_EXPECTED:
		case VK_READ_UNUSED:
			break;				/* the message says it all */
	}
	return 0;
}

Datum
vk_report_text(const VkReadError *error, VkElem elem, const char *literal, Node *escontext)
{
	vk_ereturn_compat(escontext, (Datum) 0,
					  (errcode(code_to_sqlstate(error->code)),
					   read_message(error, elem, literal),
					   read_detail(error, "position")));
}

void
vk_report_wire(const VkReadError *error, VkElem elem)
{
	ereport(ERROR,
			(errcode(code_to_sqlstate(error->code)),
			 read_message(error, elem, NULL),
			 read_detail(error, "byte")));
	pg_unreachable();
}

void
vk_report_dims_differ(VkElem elem, int left, int right)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("different %s dimensions %d and %d", vk_elem_name(elem), left, right)));
	pg_unreachable();
}

/* A value about to be made must have a number of dimensions its type allows. */
void
vk_check_dim(VkElem elem, int dim)
{
	VkReadError error = {.value = dim,.limit = elem_info[elem].max_dim};

	if (likely(dim >= 1 && dim <= elem_info[elem].max_dim))
		return;
	error.code = dim < 1 ? VK_READ_NO_DIM : VK_READ_DIM_LIMIT;
	vk_report_wire(&error, elem);
}

/* A value about to be stored must have as many dimensions as its column says. */
void
vk_check_typmod(VkElem elem, int dim, int32 typmod)
{
	VkReadError error = {.code = VK_READ_DIM_EXPECTED,.value = dim,.limit = typmod};

	if (unlikely(typmod != -1 && dim != typmod))
		vk_report_wire(&error, elem);
}

void
vk_check_nnz(int64 nnz, int dim)
{
	VkReadError error = {.code = VK_READ_NNZ_LIMIT,.value = nnz,.limit = VK_SPARSE_MAX_NNZ};

	Assert(nnz >= 0 && nnz <= dim);
	if (unlikely(nnz > VK_SPARSE_MAX_NNZ))
		vk_report_wire(&error, VK_ELEM_SPARSE);
}

void
vk_report_not_finite(VkElem elem, float value, int i)
{
	if (isnan(value))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("NaN not allowed in %s", vk_elem_name(elem)),
				 errdetail("Element %d is NaN.", i + 1)));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("infinite value not allowed in %s", vk_elem_name(elem)),
			 errdetail("Element %d is %s.", i + 1, value > 0 ? "Infinity" : "-Infinity")));
	pg_unreachable();
}

void
vk_report_half_range(float value, int i)
{
	char		number[FLOAT_SHORTEST_DECIMAL_LEN];

	float_to_shortest_decimal_buf(value, number);
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("\"%s\" is out of range for type %s", number, vk_elem_name(VK_ELEM_FLOAT2)),
			 errdetail("It is element %d.", i + 1)));
	pg_unreachable();
}

/* The same texts as float_overflow_error() and float_underflow_error(). */
void
vk_report_overflow(int i)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("value out of range: overflow"),
			 errdetail("It is element %d of the result.", i + 1)));
	pg_unreachable();
}

void
vk_report_underflow(int i)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("value out of range: underflow"),
			 errdetail("It is element %d of the result.", i + 1)));
	pg_unreachable();
}
