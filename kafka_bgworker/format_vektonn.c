/*-------------------------------------------------------------------------
 *
 * format_vektonn.c
 *	  Messages in the wire format of the Vektonn services: protobuf, read by
 *	  hand, because three small message types need no generated code.
 *
 *	  AttributeValue	1 string, 2 guid (16 bytes, in text order), 3 bool,
 *						4 int64, 5 double, 6 Timestamp {1 seconds, 2 nanos}:
 *						exactly one of them
 *	  key				1 AttributeValue, repeated: the permanent attributes,
 *						ordered by name (letters first, then case)
 *	  value				1 {1 name, 2 AttributeValue}, repeated: all attributes
 *						2 coordinates, double, repeated, packed or not
 *						3 indices, int32, repeated, packed or not; sparse only
 *
 * Unknown fields are skipped, as protobuf wants it.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kafka_bgworker/message.h"

#define WIRE_VARINT		0
#define WIRE_FIXED64	1
#define WIRE_BYTES		2
#define WIRE_FIXED32	5

#define MAX_VARINT_BYTES	10
#define GUID_BYTES			16

typedef struct Reader
{
	VkRowSink  *sink;
	const unsigned char *at;
	const unsigned char *end;
} Reader;

typedef struct Field
{
	uint64_t	number;
	int			wire;
	uint64_t	varint;
	double		fixed64;
	Reader		bytes;
} Field;

static bool
malformed(Reader *reader)
{
	return vk_sink_error(reader->sink, VK_SQLSTATE_MALFORMED, "message is not a Vektonn data point: its protobuf encoding is damaged");
}

static bool
read_varint(Reader *reader, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < MAX_VARINT_BYTES; i++)
	{
		unsigned char byte;

		if (reader->at == reader->end)
			return malformed(reader);
		byte = *reader->at++;
		*value |= (uint64_t) (byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0)
			return true;
	}
	return malformed(reader);
}

/* Takes n bytes off the reader. */
static bool
take(Reader *reader, uint64_t n, Reader *taken)
{
	if (n > (uint64_t) (reader->end - reader->at))
		return malformed(reader);
	taken->sink = reader->sink;
	taken->at = reader->at;
	taken->end = reader->at + n;
	reader->at += n;
	return true;
}

/* Doubles are little-endian on the wire whatever the machine. */
static double
double_of(const unsigned char *bytes)
{
	uint64_t	bits = 0;
	double		value;

	for (int i = 7; i >= 0; i--)
		bits = bits << 8 | bytes[i];
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static bool
read_field(Reader *reader, Field *field)
{
	uint64_t	tag;
	Reader		fixed = *reader;

	if (!read_varint(reader, &tag))
		return false;
	field->number = tag >> 3;
	field->wire = (int) (tag & 7);
	if (field->number == 0)
		return malformed(reader);
	switch (field->wire)
	{
		case WIRE_VARINT:
			return read_varint(reader, &field->varint);
		case WIRE_FIXED64:
			if (!take(reader, 8, &fixed))
				return false;
			field->fixed64 = double_of(fixed.at);
			return true;
		case WIRE_BYTES:
			return read_varint(reader, &field->varint) && take(reader, field->varint, &field->bytes);
		case WIRE_FIXED32:
			return take(reader, 4, &fixed);
		default:
			return malformed(reader);
	}
}

static bool
read_time(Reader *reader, int column)
{
	Reader		at = *reader;
	Field		field;
	uint64_t	seconds = 0;
	uint64_t	nanos = 0;

	while (at.at < at.end)
	{
		if (!read_field(&at, &field))
			return false;
		if (field.number == 1 && field.wire == WIRE_VARINT)
			seconds = field.varint;
		else if (field.number == 2 && field.wire == WIRE_VARINT)
			nanos = field.varint;
	}
	return vk_sink_time(at.sink, column, (int64_t) seconds, (int32_t) nanos);
}

static bool
read_guid(Reader *reader, int column)
{
	static const unsigned char zero_guid[GUID_BYTES] = {0};

	if (reader->end - reader->at == GUID_BYTES)
		return vk_sink_guid(reader->sink, column, reader->at);
	if (reader->end - reader->at == 0)
		return vk_sink_guid(reader->sink, column, zero_guid);
	return vk_sink_string(reader->sink, column, (const char *) reader->at, (size_t) (reader->end - reader->at));
}

/* The one field of an AttributeValue. */
static bool
put_attribute(Reader *reader, const Field *field, int column)
{
	Reader		bytes = field->bytes;

	switch (field->number << 3 | (uint64_t) field->wire)
	{
		case 1 << 3 | WIRE_BYTES:
			return vk_sink_string(reader->sink, column, (const char *) bytes.at, (size_t) (bytes.end - bytes.at));
		case 2 << 3 | WIRE_BYTES:
			return read_guid(&bytes, column);
		case 3 << 3 | WIRE_VARINT:
			return vk_sink_bool(reader->sink, column, field->varint != 0);
		case 4 << 3 | WIRE_VARINT:
			return vk_sink_int64(reader->sink, column, (int64_t) field->varint);
		case 5 << 3 | WIRE_FIXED64:
			return vk_sink_double(reader->sink, column, field->fixed64);
		case 6 << 3 | WIRE_BYTES:
			return read_time(&bytes, column);
		default:
			return malformed(reader);
	}
}

static bool
read_attribute(Reader *reader, int column)
{
	Reader		at = *reader;
	Field		field;
	bool		found = false;

	while (at.at < at.end)
	{
		if (!read_field(&at, &field))
			return false;
		if (field.number > 6)
			continue;
		if (found)
			return vk_sink_error(at.sink, VK_SQLSTATE_MALFORMED, "an attribute of the message has more than one value");
		if (!put_attribute(&at, &field, column))
			return false;
		found = true;
	}
	if (!found)
		return vk_sink_error(at.sink, VK_SQLSTATE_MISSING, "an attribute of the message has no value");
	return true;
}

static bool
read_key(VkRowSink *sink, const char *key, size_t len)
{
	Reader		reader = {sink, (const unsigned char *) key, (const unsigned char *) key + len};
	Field		field;
	int			count = 0;

	while (reader.at < reader.end)
	{
		int			column;

		if (!read_field(&reader, &field))
			return false;
		if (field.number != 1 || field.wire != WIRE_BYTES)
			return malformed(&reader);
		column = vk_sink_permanent_column(sink, count++);
		if (column < 0)
			return vk_sink_error(sink, VK_SQLSTATE_MALFORMED, "the message's key has more values than there are permanent attributes");
		if (!read_attribute(&field.bytes, column))
			return false;
	}
	if (vk_sink_permanent_column(sink, count) >= 0)
		return vk_sink_error(sink, VK_SQLSTATE_MISSING, "the message's key has fewer values than there are permanent attributes");
	return true;
}

/* A name and its value, in either order. */
static bool
read_entry(Reader *reader, int *hint)
{
	Reader		at = *reader;
	Reader		name = {at.sink, at.at, at.at};
	Reader		value = {at.sink, at.at, at.at};
	Field		field;
	int			column;

	while (at.at < at.end)
	{
		if (!read_field(&at, &field))
			return false;
		if (field.number == 1 && field.wire == WIRE_BYTES)
			name = field.bytes;
		else if (field.number == 2 && field.wire == WIRE_BYTES)
			value = field.bytes;
	}
	column = vk_sink_find(at.sink, (const char *) name.at, (size_t) (name.end - name.at), *hint);
	if (column < 0)
		return vk_sink_unknown(at.sink, (const char *) name.at, (size_t) (name.end - name.at));
	*hint = column + 1;
	return read_attribute(&value, column);
}

static bool
add_coordinate(VkRowSink *sink, double value, size_t *count)
{
	if (*count == VK_MAX_ELEMENTS)
		return vk_sink_error(sink, "54000", "a vector has more than %d coordinates", VK_MAX_ELEMENTS);
	if (!isfinite(value) || fabs(value) > FLT_MAX)
		return vk_sink_error(sink, VK_SQLSTATE_RANGE, "coordinate %zu of the vector is out of range", *count + 1);
	vk_sink_floats(sink, *count + 1)[*count] = (float) value;
	(*count)++;
	return true;
}

static bool
add_index(VkRowSink *sink, uint64_t varint, size_t *count)
{
	if (*count == VK_MAX_ELEMENTS)
		return vk_sink_error(sink, "54000", "a vector has more than %d indices", VK_MAX_ELEMENTS);
	vk_sink_indices(sink, *count + 1)[*count] = (int32_t) varint;
	(*count)++;
	return true;
}

static bool
read_coordinates(Reader *reader, Field *field, size_t *count)
{
	if (field->wire == WIRE_FIXED64)
		return add_coordinate(reader->sink, field->fixed64, count);
	if (field->wire != WIRE_BYTES || (field->bytes.end - field->bytes.at) % 8 != 0)
		return malformed(reader);
	for (; field->bytes.at < field->bytes.end; field->bytes.at += 8)
	{
		if (!add_coordinate(reader->sink, double_of(field->bytes.at), count))
			return false;
	}
	return true;
}

static bool
read_indices(Reader *reader, Field *field, size_t *count)
{
	if (field->wire == WIRE_VARINT)
		return add_index(reader->sink, field->varint, count);
	if (field->wire != WIRE_BYTES)
		return malformed(reader);
	while (field->bytes.at < field->bytes.end)
	{
		uint64_t	varint;

		if (!read_varint(&field->bytes, &varint) || !add_index(reader->sink, varint, count))
			return false;
	}
	return true;
}

static bool
put_vector(VkRowSink *sink, size_t coordinates, size_t indices)
{
	int			column = vk_sink_vector_column(sink);

	if (column < 0)
		return true;
	switch (vk_sink_kind(sink, column))
	{
		case VK_COLUMN_DENSE:
			if (indices > 0)
				return vk_sink_error(sink, VK_SQLSTATE_TYPE, "the vector is sparse, and the column is not");
			return vk_sink_dense(sink, column, coordinates);
		case VK_COLUMN_SPARSE:
			return vk_sink_sparse(sink, column, coordinates, indices);
		default:
			return vk_sink_error(sink, VK_SQLSTATE_TYPE, "the vector column takes no vector");
	}
}

static bool
read_value(VkRowSink *sink, const char *value, size_t len)
{
	Reader		reader = {sink, (const unsigned char *) value, (const unsigned char *) value + len};
	Field		field;
	int			hint = 0;
	size_t		coordinates = 0;
	size_t		indices = 0;

	while (reader.at < reader.end)
	{
		bool		fine = true;

		if (!read_field(&reader, &field))
			return false;
		if (field.number == 1)
			fine = field.wire == WIRE_BYTES ? read_entry(&field.bytes, &hint) : malformed(&reader);
		else if (field.number == 2)
			fine = read_coordinates(&reader, &field, &coordinates);
		else if (field.number == 3)
			fine = read_indices(&reader, &field, &indices);
		if (!fine)
			return false;
	}
	return put_vector(sink, coordinates, indices);
}

const VkMessageFormat vk_format_vektonn = {
	.name = "vektonn",
	.read_key = read_key,
	.read_value = read_value,
};
