/*
 * format_sink.h: a sink for message formats that needs no server
 *
 * A table of six columns, one of each kind; what a format puts there is
 * written down as text.  Room has the size asked for and no more, so that the
 * sanitizers see what is written beyond.
 */
#ifndef VK_FORMAT_SINK_H
#define VK_FORMAT_SINK_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka_bgworker/message.h"

#define SINK_COLUMNS	6
#define SINK_SHOWN		4096	/* of what was put is kept as text */

struct VkRowSink
{
	char		shown[SINK_SHOWN];
	char		sqlstate[6];	/* "": no error */
	char		error[400];
	float	   *floats;
	int64_t    *indices;
	char	   *scratch;
	int			vector_column;
	int			permanent_count;
};

static const struct
{
	const char *name;
	VkColumnKind kind;
}			sink_columns[SINK_COLUMNS] = {
	{"id", VK_COLUMN_SCALAR},
	{"name", VK_COLUMN_SCALAR},
	{"j", VK_COLUMN_JSON},
	{"tags", VK_COLUMN_ARRAY},
	{"vec", VK_COLUMN_DENSE},
	{"sp", VK_COLUMN_SPARSE},
};

static void
sink_begin(VkRowSink *sink)
{
	memset(sink, 0, sizeof(*sink));
	sink->vector_column = 4;
	sink->permanent_count = 1;
}

static void
sink_end(VkRowSink *sink)
{
	free(sink->floats);
	free(sink->indices);
	free(sink->scratch);
}

static bool sink_put(VkRowSink *sink, int column, const char *format,...) __attribute__((format(printf, 3, 4)));

static bool
sink_put(VkRowSink *sink, int column, const char *format,...)
{
	size_t		at = strlen(sink->shown);
	va_list		args;

	if (column < 0 || column >= SINK_COLUMNS || sink->sqlstate[0] != '\0')
		abort();
	at += (size_t) snprintf(sink->shown + at, SINK_SHOWN - at, "%s=", sink_columns[column].name);
	if (at < SINK_SHOWN)
	{
		va_start(args, format);
		vsnprintf(sink->shown + at, SINK_SHOWN - at, format, args);
		va_end(args);
	}
	at = strlen(sink->shown);
	snprintf(sink->shown + at, SINK_SHOWN - at, ";");
	return true;
}

int
vk_sink_find(VkRowSink *sink, const char *name, size_t len, int hint)
{
	(void) sink;
	(void) hint;
	for (int i = 0; i < SINK_COLUMNS; i++)
	{
		if (strlen(sink_columns[i].name) == len && memcmp(sink_columns[i].name, name, len) == 0)
			return i;
	}
	return -1;
}

int
vk_sink_vector_column(VkRowSink *sink)
{
	return sink->vector_column;
}

int
vk_sink_permanent_column(VkRowSink *sink, int n)
{
	return n < sink->permanent_count ? n : -1;
}

VkColumnKind
vk_sink_kind(VkRowSink *sink, int column)
{
	(void) sink;
	return sink_columns[column].kind;
}

bool
vk_sink_unknown(VkRowSink *sink, const char *name, size_t len)
{
	(void) sink;
	return len == 0 || name != NULL;
}

bool
vk_sink_null(VkRowSink *sink, int column)
{
	return sink_put(sink, column, "null");
}

bool
vk_sink_bool(VkRowSink *sink, int column, bool value)
{
	return sink_put(sink, column, "%s", value ? "true" : "false");
}

bool
vk_sink_number(VkRowSink *sink, int column, const char *literal, size_t len)
{
	return sink_put(sink, column, "%.*s", (int) len, literal);
}

bool
vk_sink_string(VkRowSink *sink, int column, const char *string, size_t len)
{
	return sink_put(sink, column, "'%.*s'", (int) len, string);
}

bool
vk_sink_json(VkRowSink *sink, int column, const char *json, size_t len)
{
	return sink_put(sink, column, "%.*s", (int) len, json);
}

bool
vk_sink_int64(VkRowSink *sink, int column, int64_t value)
{
	return sink_put(sink, column, "int %lld", (long long) value);
}

bool
vk_sink_double(VkRowSink *sink, int column, double value)
{
	return sink_put(sink, column, "double %.17g", value);
}

bool
vk_sink_guid(VkRowSink *sink, int column, const unsigned char *bytes)
{
	char		hex[33];

	for (int i = 0; i < 16; i++)
		sprintf(hex + 2 * i, "%02x", bytes[i]);
	return sink_put(sink, column, "guid %s", hex);
}

bool
vk_sink_time(VkRowSink *sink, int column, int64_t seconds, int32_t nanos)
{
	return sink_put(sink, column, "time %lld.%09d", (long long) seconds, nanos);
}

bool
vk_sink_array_begin(VkRowSink *sink, int column)
{
	return sink_put(sink, column, "[");
}

bool
vk_sink_array_end(VkRowSink *sink, int column)
{
	return sink_put(sink, column, "]");
}

float *
vk_sink_floats(VkRowSink *sink, size_t count)
{
	if (count > VK_MAX_ELEMENTS)
		abort();
	if (sink->floats == NULL)
		sink->floats = calloc(VK_MAX_ELEMENTS, sizeof(float));
	return sink->floats;
}

int64_t *
vk_sink_indices(VkRowSink *sink, size_t count)
{
	if (count > VK_MAX_ELEMENTS)
		abort();
	if (sink->indices == NULL)
		sink->indices = calloc(VK_MAX_ELEMENTS, sizeof(int64_t));
	return sink->indices;
}

static void
sink_check_floats(VkRowSink *sink, size_t count)
{
	if (count > VK_MAX_ELEMENTS)
		abort();
	for (size_t i = 0; i < count; i++)
	{
		if (!isfinite(sink->floats[i]))
			abort();
	}
}

bool
vk_sink_dense(VkRowSink *sink, int column, size_t count)
{
	sink_check_floats(sink, count);
	if (count == 0)
		return sink_put(sink, column, "empty");
	return sink_put(sink, column, "%zu floats %.9g %.9g", count, sink->floats[0], sink->floats[count - 1]);
}

bool
vk_sink_sparse(VkRowSink *sink, int column, size_t value_count, size_t index_count)
{
	sink_check_floats(sink, value_count);
	if (index_count > VK_MAX_ELEMENTS)
		abort();
	sink_put(sink, column, "%zu/%zu", value_count, index_count);
	for (size_t i = 0; i < value_count && i < index_count; i++)
		sink_put(sink, column, "%lld:%.9g", (long long) sink->indices[i], sink->floats[i]);
	return true;
}

char *
vk_sink_scratch(VkRowSink *sink, size_t size)
{
	free(sink->scratch);
	return sink->scratch = malloc(size);
}

bool
vk_sink_error(VkRowSink *sink, const char *sqlstate, const char *format,...)
{
	va_list		args;

	if (strlen(sqlstate) != 5 || sink->sqlstate[0] != '\0')
		abort();
	strcpy(sink->sqlstate, sqlstate);
	va_start(args, format);
	vsnprintf(sink->error, sizeof(sink->error), format, args);
	va_end(args);
	return false;
}

#endif							/* VK_FORMAT_SINK_H */
