/*-------------------------------------------------------------------------
 *
 * message.h
 *	  A message, and the formats it may be in.
 *
 * A format is one file: it takes a message apart and hands each value to the
 * sink, which knows the columns of the target table.  Formats are plain C
 * without PostgreSQL, so that a fuzzer can run them with a sink of its own.
 * They trust nothing in a message, and report what is wrong through
 * vk_sink_error, once, returning false.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_MESSAGE_H
#define VK_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Key and value belong to the consumer and are not terminated. */
typedef struct VkMessage
{
	int32_t		partition;
	int64_t		offset;
	int64_t		time_ms;		/* since 1970, -1: none */
	const char *key;			/* NULL: null */
	size_t		key_len;
	const char *value;			/* NULL: a tombstone */
	size_t		value_len;
} VkMessage;

/* How a column takes values; several column types may share one. */
typedef enum VkColumnKind
{
	VK_COLUMN_SCALAR,			/* null, bool, number or string */
	VK_COLUMN_JSON,				/* any JSON value, as it stands */
	VK_COLUMN_ARRAY,			/* a list of scalars */
	VK_COLUMN_DENSE,			/* a list of floats */
	VK_COLUMN_SPARSE			/* index and value pairs */
} VkColumnKind;

/* SQLSTATEs formats use. */
#define VK_SQLSTATE_MALFORMED	"22P02" /* not a message of this format */
#define VK_SQLSTATE_MISSING		"22004" /* a value that must be there is not */
#define VK_SQLSTATE_RANGE		"22003" /* a number out of range */
#define VK_SQLSTATE_TYPE		"42804" /* a value of another type than the
										 * column's */

typedef struct VkRowSink VkRowSink;

/* The column of a name, or -1; hint is tried first. */
extern int	vk_sink_find(VkRowSink *sink, const char *name, size_t len, int hint);

/* The column the vector goes to in formats that do not name it, or -1. */
extern int	vk_sink_vector_column(VkRowSink *sink);

/* The n-th of the columns that identify a data point, in the format's key order, or -1. */
extern int	vk_sink_permanent_column(VkRowSink *sink, int n);

extern VkColumnKind vk_sink_kind(VkRowSink *sink, int column);

/* What to do with a field that is no column: false after an error. */
extern bool vk_sink_unknown(VkRowSink *sink, const char *name, size_t len);

/* Values; false after an error.  Strings are UTF-8, not yet verified. */
extern bool vk_sink_null(VkRowSink *sink, int column);
extern bool vk_sink_bool(VkRowSink *sink, int column, bool value);
extern bool vk_sink_number(VkRowSink *sink, int column, const char *literal, size_t len);
extern bool vk_sink_string(VkRowSink *sink, int column, const char *string, size_t len);
extern bool vk_sink_json(VkRowSink *sink, int column, const char *json, size_t len);
extern bool vk_sink_int64(VkRowSink *sink, int column, int64_t value);
extern bool vk_sink_double(VkRowSink *sink, int column, double value);
extern bool vk_sink_guid(VkRowSink *sink, int column, const unsigned char *bytes);
extern bool vk_sink_time(VkRowSink *sink, int column, int64_t seconds, int32_t nanos);

/* Elements of an array column: begin, scalars of the calls above, end. */
extern bool vk_sink_array_begin(VkRowSink *sink, int column);
extern bool vk_sink_array_end(VkRowSink *sink, int column);

/* Room for count floats and, for a sparse column, indices; what was written before stays. */
extern float *vk_sink_floats(VkRowSink *sink, size_t count);
extern int64_t *vk_sink_indices(VkRowSink *sink, size_t count);

/* The vector is what was written into that room. */
extern bool vk_sink_dense(VkRowSink *sink, int column, size_t count);
extern bool vk_sink_sparse(VkRowSink *sink, int column, size_t value_count, size_t index_count);

/* Room for a string that had to be unescaped. */
extern char *vk_sink_scratch(VkRowSink *sink, size_t size);

/* Says what is wrong; always returns false. */
extern bool vk_sink_error(VkRowSink *sink, const char *sqlstate, const char *format,...)
			__attribute__((format(printf, 3, 4)));

/* Floats of a vector beyond which no column can take it: PostgreSQL's types end at 16,000. */
#define VK_MAX_ELEMENTS		16000

typedef struct VkMessageFormat
{
	const char *name;
	/* The fields of a key go to the columns that identify a data point. */
	bool		(*read_key) (VkRowSink *sink, const char *key, size_t len);
	bool		(*read_value) (VkRowSink *sink, const char *value, size_t len);
} VkMessageFormat;

/* message_formats.c; NULL for an unknown name */
extern const VkMessageFormat *vk_message_format(const char *name);

extern const VkMessageFormat vk_format_json;
extern const VkMessageFormat vk_format_vektonn;

#endif							/* VK_MESSAGE_H */
