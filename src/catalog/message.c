/*-------------------------------------------------------------------------
 *
 * message.c
 *	  Data points as Kafka messages.
 *
 * json: the key is an object of the permanent attributes, the value one of
 * all attributes and the vector.
 *
 * vektonn: the bytes upstream's services write.  Protocol buffers without a
 * frame:
 *
 *	AttributeValue	1 string, 2 guid (16 bytes, text order), 3 bool, 4 int64
 *					(varint), 5 float64, 6 Timestamp {1 seconds, 2 nanos}
 *	key				1 AttributeValue, repeated: the permanent attributes in the
 *					order of their keys, without the keys
 *	value			1 {1 key, 2 AttributeValue}, repeated; 2 coordinate, double,
 *					repeated; 3 index, int32, repeated
 *
 * Fields of an AttributeValue are written though they be 0 or empty; those of
 * a Timestamp are not.  Repeated numbers are not packed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "catalog/datapoint.h"

/* Wire types of protocol buffers. */
#define WIRE_VARINT		0
#define WIRE_FIXED64	1
#define WIRE_BYTES		2

#define EPOCH_SECONDS	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY)

static void
put_varint(StringInfo out, uint64 value)
{
	while (value >= 0x80)
	{
		appendStringInfoCharMacro(out, (char) (value | 0x80));
		value >>= 7;
	}
	appendStringInfoCharMacro(out, (char) value);
}

static void
put_tag(StringInfo out, int field, int wire_type)
{
	put_varint(out, (uint64) field << 3 | wire_type);
}

static void
put_bytes(StringInfo out, int field, const char *data, int length)
{
	put_tag(out, field, WIRE_BYTES);
	put_varint(out, length);
	appendBinaryStringInfo(out, data, length);
}

static void
put_double(StringInfo out, int field, double value)
{
	uint64		bits;
	char		bytes[8];

	memcpy(&bits, &value, sizeof(bits));
	for (int i = 0; i < 8; i++)
		bytes[i] = (char) (bits >> (8 * i));
	put_tag(out, field, WIRE_FIXED64);
	appendBinaryStringInfo(out, bytes, sizeof(bytes));
}

static void
put_datetime(StringInfo out, TimestampTz datetime)
{
	StringInfoData timestamp;
	int64		seconds = datetime / USECS_PER_SEC;
	int64		microseconds = datetime % USECS_PER_SEC;

	if (microseconds < 0)
	{
		microseconds += USECS_PER_SEC;
		seconds--;
	}
	seconds += EPOCH_SECONDS;
	initStringInfo(&timestamp);
	if (seconds != 0)
	{
		put_tag(&timestamp, 1, WIRE_VARINT);
		put_varint(&timestamp, (uint64) seconds);
	}
	if (microseconds != 0)
	{
		put_tag(&timestamp, 2, WIRE_VARINT);
		put_varint(&timestamp, (uint64) microseconds * 1000);
	}
	put_bytes(out, VK_ATTRIBUTE_DATETIME + 1, timestamp.data, timestamp.len);
	pfree(timestamp.data);
}

/* The AttributeValue alone, without the tag and length around it. */
static void
put_attribute_value(StringInfo out, const VkAttributeValue *value)
{
	int			field = value->type + 1;
	char	   *text;

	switch (value->type)
	{
		case VK_ATTRIBUTE_STRING:
			text = pg_server_to_any(value->as.string.data, value->as.string.length, PG_UTF8);
			put_bytes(out, field, text,
					  text == value->as.string.data ? value->as.string.length : (int) strlen(text));
			break;
		case VK_ATTRIBUTE_GUID:
			/* The empty Guid is written as no bytes. */
			for (int i = 0; i < UUID_LEN; i++)
			{
				if (value->as.guid.data[i] != 0)
				{
					put_bytes(out, field, (const char *) value->as.guid.data, UUID_LEN);
					return;
				}
			}
			put_bytes(out, field, "", 0);
			break;
		case VK_ATTRIBUTE_BOOL:
			put_tag(out, field, WIRE_VARINT);
			put_varint(out, value->as.boolean ? 1 : 0);
			break;
		case VK_ATTRIBUTE_INT64:
			put_tag(out, field, WIRE_VARINT);
			put_varint(out, (uint64) value->as.int64);
			break;
		case VK_ATTRIBUTE_FLOAT64:
			put_double(out, field, value->as.float64);
			break;
		case VK_ATTRIBUTE_DATETIME:
			put_datetime(out, value->as.datetime);
			break;
	}
}

static void
put_key(const VkSource *source, const VkDataPoint *point, StringInfo out)
{
	StringInfoData value;

	initStringInfo(&value);
	for (int i = 0; i < source->num_attributes; i++)
	{
		if (!source->attributes[i].permanent)
			continue;
		resetStringInfo(&value);
		put_attribute_value(&value, &point->values[i]);
		put_bytes(out, 1, value.data, value.len);
	}
	pfree(value.data);
}

static void
put_value(const VkSource *source, const VkDataPoint *point, StringInfo out)
{
	StringInfoData entry;
	StringInfoData value;

	initStringInfo(&entry);
	initStringInfo(&value);
	for (int i = 0; i < source->num_attributes; i++)
	{
		const char *name = source->attributes[i].name;
		char	   *key = pg_server_to_any(name, strlen(name), PG_UTF8);

		resetStringInfo(&entry);
		resetStringInfo(&value);
		put_bytes(&entry, 1, key, strlen(key));
		put_attribute_value(&value, &point->values[i]);
		put_bytes(&entry, 2, value.data, value.len);
		put_bytes(out, 1, entry.data, entry.len);
	}
	for (int i = 0; i < point->count; i++)
		put_double(out, 2, point->coordinates[i]);
	for (int i = 0; point->indices && i < point->count; i++)
	{
		put_tag(out, 3, WIRE_VARINT);
		put_varint(out, point->indices[i]);
	}
	pfree(entry.data);
	pfree(value.data);
}

void
vk_attributes_to_json(const VkSource *source, const VkDataPoint *point, bool permanent_only,
					  StringInfo out)
{
	bool		first = true;

	appendStringInfoChar(out, '{');
	for (int i = 0; i < source->num_attributes; i++)
	{
		if (permanent_only && !source->attributes[i].permanent)
			continue;
		if (!first)
			appendStringInfoString(out, ", ");
		first = false;
		escape_json(out, source->attributes[i].name);
		appendStringInfoString(out, ": ");
		vk_attribute_to_json(&point->values[i], out);
	}
	appendStringInfoChar(out, '}');
}

static void
put_json_numbers(const VkDataPoint *point, StringInfo out)
{
	char		number[DOUBLE_SHORTEST_DECIMAL_LEN];

	appendStringInfoChar(out, '[');
	for (int i = 0; i < point->count; i++)
	{
		double_to_shortest_decimal_buf(point->coordinates[i], number);
		appendStringInfo(out, "%s%s", i > 0 ? ", " : "", number);
	}
	appendStringInfoChar(out, ']');
}

/* All attributes and, as a last field, the vector. */
static void
put_json_value(const VkSource *source, const VkDataPoint *point, StringInfo out)
{
	vk_attributes_to_json(source, point, false, out);
	out->data[--out->len] = '\0';
	appendStringInfoString(out, ", \"vector\": ");
	if (!point->indices)
		put_json_numbers(point, out);
	else
	{
		appendStringInfoString(out, "{\"indices\": [");
		for (int i = 0; i < point->count; i++)
			appendStringInfo(out, "%s%d", i > 0 ? ", " : "", point->indices[i]);
		appendStringInfoString(out, "], \"values\": ");
		put_json_numbers(point, out);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, '}');
}

static bytea *
message_bytes(const char *data, int length)
{
	bytea	   *result = palloc(VARHDRSZ + length);

	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), data, length);
	return result;
}

/* JSON is UTF-8 on the wire, whatever the database's encoding. */
static bytea *
message_json(StringInfo json)
{
	char	   *text = pg_server_to_any(json->data, json->len, PG_UTF8);

	return message_bytes(text, text == json->data ? json->len : (int) strlen(text));
}

bytea *
vk_message_key(const VkSource *source, const VkDataPoint *point)
{
	StringInfoData out;

	initStringInfo(&out);
	if (strcmp(source->format, "vektonn") == 0)
	{
		put_key(source, point, &out);
		return message_bytes(out.data, out.len);
	}
	vk_attributes_to_json(source, point, true, &out);
	return message_json(&out);
}

bytea *
vk_message_value(const VkSource *source, const VkDataPoint *point)
{
	StringInfoData out;

	if (point->deleted)
		return NULL;
	initStringInfo(&out);
	if (strcmp(source->format, "vektonn") == 0)
	{
		put_value(source, point, &out);
		return message_bytes(out.data, out.len);
	}
	put_json_value(source, point, &out);
	return message_json(&out);
}
