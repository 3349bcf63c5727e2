/*-------------------------------------------------------------------------
 *
 * attribute.c
 *	  Values of attributes: from JSON, to JSON, to SQL.
 *
 * Nothing here raises an error for a value that is wrong: the caller reports
 * all that is wrong with a data point at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "catalog/attribute.h"

/* Longer than any number that is an int64 or a double worth reading. */
#define MAX_NUMBER_LENGTH	1100

const VkAttributeTypeInfo vk_attribute_types[VK_NUM_ATTRIBUTE_TYPES] = {
	[VK_ATTRIBUTE_STRING] = {"String", "string", "text", TEXTOID},
	[VK_ATTRIBUTE_GUID] = {"Guid", "guid", "uuid", UUIDOID},
	[VK_ATTRIBUTE_BOOL] = {"Bool", "bool", "boolean", BOOLOID},
	[VK_ATTRIBUTE_INT64] = {"Int64", "int64", "bigint", INT8OID},
	[VK_ATTRIBUTE_FLOAT64] = {"Float64", "float64", "double precision", FLOAT8OID},
	[VK_ATTRIBUTE_DATETIME] = {"DateTime", "dateTime", "timestamptz", TIMESTAMPTZOID},
};

bool
vk_attribute_type_find(const char *name, int length, VkAttributeType *type)
{
	for (int i = 0; i < VK_NUM_ATTRIBUTE_TYPES; i++)
	{
		const char *candidate = vk_attribute_types[i].name;

		if ((int) strlen(candidate) == length && pg_strncasecmp(candidate, name, length) == 0)
		{
			*type = i;
			return true;
		}
	}
	return false;
}

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

/* 8-4-4-4-12 hexadecimal digits, as .NET writes and reads a Guid. */
static bool
guid_parse(const char *text, int length, pg_uuid_t *guid)
{
	int			digits = 0;

	if (length != 36)
		return false;
	for (int i = 0; i < length; i++)
	{
		int			digit;

		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (text[i] != '-')
				return false;
			continue;
		}
		digit = hex_digit(text[i]);
		if (digit < 0)
			return false;
		if (digits % 2 == 0)
			guid->data[digits / 2] = digit << 4;
		else
			guid->data[digits / 2] |= digit;
		digits++;
	}
	return true;
}

/* Takes exactly count digits. */
static bool
take_digits(const char **at, const char *end, int count, int *number)
{
	*number = 0;
	if (end - *at < count)
		return false;
	for (int i = 0; i < count; i++)
	{
		char		c = *(*at)++;

		if (c < '0' || c > '9')
			return false;
		*number = *number * 10 + (c - '0');
	}
	return true;
}

static bool
take_char(const char **at, const char *end, char c)
{
	if (*at >= end || **at != c)
		return false;
	(*at)++;
	return true;
}

/* Digits behind the point of the seconds, in microseconds; what is finer is cut off. */
static bool
take_fraction(const char **at, const char *end, int *microseconds)
{
	int			unit = 100000;
	const char *start = *at;

	*microseconds = 0;
	while (*at < end && **at >= '0' && **at <= '9')
	{
		*microseconds += (*(*at)++ - '0') * unit;
		unit /= 10;
	}
	return *at > start;
}

/* Z, +hh:mm, or nothing; in seconds east of Greenwich. */
static bool
take_zone(const char **at, const char *end, int *offset)
{
	int			hours;
	int			minutes;
	int			sign;

	*offset = 0;
	if (*at == end || take_char(at, end, 'Z') || take_char(at, end, 'z'))
		return true;
	if (take_char(at, end, '+'))
		sign = 1;
	else if (take_char(at, end, '-'))
		sign = -1;
	else
		return false;
	if (!take_digits(at, end, 2, &hours) || !take_char(at, end, ':') ||
		!take_digits(at, end, 2, &minutes) || hours > 15 || minutes > 59)
		return false;
	*offset = sign * (hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE);
	return true;
}

bool
vk_datetime_parse(const char *text, int length, TimestampTz *result)
{
	const char *at = text;
	const char *end = text + length;
	struct pg_tm tm = {0};
	int			microseconds = 0;
	int			offset = 0;

	if (!take_digits(&at, end, 4, &tm.tm_year) || !take_char(&at, end, '-') ||
		!take_digits(&at, end, 2, &tm.tm_mon) || !take_char(&at, end, '-') ||
		!take_digits(&at, end, 2, &tm.tm_mday))
		return false;
	if (at < end)
	{
		if ((!take_char(&at, end, 'T') && !take_char(&at, end, ' ')) ||
			!take_digits(&at, end, 2, &tm.tm_hour) || !take_char(&at, end, ':') ||
			!take_digits(&at, end, 2, &tm.tm_min))
			return false;
		if (take_char(&at, end, ':') &&
			(!take_digits(&at, end, 2, &tm.tm_sec) ||
			 (take_char(&at, end, '.') && !take_fraction(&at, end, &microseconds))))
			return false;
		if (!take_zone(&at, end, &offset))
			return false;
	}
	if (at != end || tm.tm_year < 1 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
		tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1] || tm.tm_hour > 23 ||
		tm.tm_min > 59 || tm.tm_sec > 59)
		return false;
	offset = -offset;			/* tm2timestamp counts west */
	return tm2timestamp(&tm, microseconds, &offset, result) == 0;
}

/* The text of a JSON number, or of a string where those are allowed; NULL: neither. */
static const char *
number_text(const JsonbValue *json, bool lenient)
{
	if (json->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(json->val.numeric)));
	if (lenient && json->type == jbvString && json->val.string.len > 0 &&
		json->val.string.len < MAX_NUMBER_LENGTH)
		return pnstrdup(json->val.string.val, json->val.string.len);
	return NULL;
}

static bool
int64_from_json(const JsonbValue *json, bool lenient, int64 *result)
{
	const char *text = number_text(json, lenient);
	char	   *end;

	if (!text || !(*text == '-' || (*text >= '0' && *text <= '9')))
		return false;
	errno = 0;
	*result = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && end > text;
}

static bool
float64_from_json(const JsonbValue *json, bool lenient, double *result)
{
	const char *text = number_text(json, lenient);
	char	   *end;

	/* strtod would also take hexadecimal, infinity and leading space. */
	if (!text || strspn(text, "+-0123456789.eE") != strlen(text))
		return false;
	*result = strtod(text, &end);
	return *end == '\0' && end > text && isfinite(*result);
}

bool
vk_attribute_from_json(const JsonbValue *json, VkAttributeType type, bool lenient,
					   VkAttributeValue *value)
{
	value->type = type;
	switch (type)
	{
		case VK_ATTRIBUTE_STRING:
			if (json->type != jbvString)
				return false;
			value->as.string.data = json->val.string.val;
			value->as.string.length = json->val.string.len;
			return true;
		case VK_ATTRIBUTE_GUID:
			return json->type == jbvString &&
				guid_parse(json->val.string.val, json->val.string.len, &value->as.guid);
		case VK_ATTRIBUTE_BOOL:
			if (json->type != jbvBool)
				return false;
			value->as.boolean = json->val.boolean;
			return true;
		case VK_ATTRIBUTE_INT64:
			return int64_from_json(json, lenient, &value->as.int64);
		case VK_ATTRIBUTE_FLOAT64:
			return float64_from_json(json, lenient, &value->as.float64);
		case VK_ATTRIBUTE_DATETIME:
			return json->type == jbvString &&
				vk_datetime_parse(json->val.string.val, json->val.string.len, &value->as.datetime);
	}
	return false;
}

bool
vk_attribute_from_dto(const JsonbValue *json, VkAttributeType type, VkAttributeValue *value)
{
	JsonbContainer *object;
	JsonbValue	field;
	bool		found = false;

	if (json->type != jbvBinary || !JsonContainerIsObject(json->val.binary.data))
		return false;
	object = json->val.binary.data;
	for (int i = 0; i < VK_NUM_ATTRIBUTE_TYPES; i++)
	{
		const char *name = vk_attribute_types[i].field;

		if (!getKeyJsonValueFromContainer(object, name, strlen(name), &field) ||
			field.type == jbvNull)
			continue;
		if (i != (int) type || !vk_attribute_from_json(&field, type, true, value))
			return false;
		found = true;
	}
	return found;
}

static void
datetime_to_json(TimestampTz datetime, StringInfo out)
{
	char		text[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t		microseconds;

	/* UTC, whatever the session's zone: the text must not depend on who asks. */
	if (timestamp2tm(datetime, NULL, &tm, &microseconds, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	EncodeDateTime(&tm, microseconds, false, 0, NULL, USE_XSD_DATES, text);
	appendStringInfo(out, "\"%sZ\"", text);
}

void
vk_attribute_to_json(const VkAttributeValue *value, StringInfo out)
{
	char		number[DOUBLE_SHORTEST_DECIMAL_LEN];
	char	   *text;

	switch (value->type)
	{
		case VK_ATTRIBUTE_STRING:
			text = pnstrdup(value->as.string.data, value->as.string.length);
			escape_json(out, text);
			pfree(text);
			break;
		case VK_ATTRIBUTE_GUID:
			text = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&value->as.guid)));
			appendStringInfo(out, "\"%s\"", text);
			pfree(text);
			break;
		case VK_ATTRIBUTE_BOOL:
			appendStringInfoString(out, value->as.boolean ? "true" : "false");
			break;
		case VK_ATTRIBUTE_INT64:
			appendStringInfo(out, INT64_FORMAT, value->as.int64);
			break;
		case VK_ATTRIBUTE_FLOAT64:
			double_to_shortest_decimal_buf(value->as.float64, number);
			appendStringInfoString(out, number);
			break;
		case VK_ATTRIBUTE_DATETIME:
			datetime_to_json(value->as.datetime, out);
			break;
	}
}

Datum
vk_attribute_to_datum(const VkAttributeValue *value)
{
	pg_uuid_t  *guid;

	switch (value->type)
	{
		case VK_ATTRIBUTE_STRING:
			return PointerGetDatum(cstring_to_text_with_len(value->as.string.data,
															value->as.string.length));
		case VK_ATTRIBUTE_GUID:
			guid = palloc(sizeof(pg_uuid_t));
			*guid = value->as.guid;
			return UUIDPGetDatum(guid);
		case VK_ATTRIBUTE_BOOL:
			return BoolGetDatum(value->as.boolean);
		case VK_ATTRIBUTE_INT64:
			return Int64GetDatum(value->as.int64);
		case VK_ATTRIBUTE_FLOAT64:
			return Float8GetDatum(value->as.float64);
		case VK_ATTRIBUTE_DATETIME:
			return TimestampTzGetDatum(value->as.datetime);
	}
	pg_unreachable();
}
