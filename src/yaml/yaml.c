/*-------------------------------------------------------------------------
 *
 * yaml.c
 *	  YAML documents as jsonb.  See README.md.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <yaml.h>

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "compat/pgcompat.h"

PG_MODULE_MAGIC;

#define MAX_DEPTH	32
#define MAX_LENGTH	(1024 * 1024)

/* Where the writer is in one mapping or sequence. */
typedef struct Level
{
	bool		mapping;
	bool		at_key;			/* a mapping's next scalar is a key */
	bool		empty;
} Level;

typedef struct Reader
{
	yaml_parser_t parser;
	StringInfoData json;
	Level		levels[MAX_DEPTH];
	int			depth;
	bool		done;			/* the document has ended */
	yaml_event_t event;			/* the current one, freed when replaced */
} Reader;

PG_FUNCTION_INFO_V1(vk_yaml);

static void
reader_error(Reader *reader, const char *what, size_t line)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("YAML cannot be read: %s", what),
			 errdetail("Line %zu.", line + 1)));
}

/* Writes what separates the next value from the one before. */
static void
reader_separate(Reader *reader)
{
	Level	   *level;

	if (reader->depth == 0)
		return;
	level = &reader->levels[reader->depth - 1];
	if (level->mapping && !level->at_key)
		appendStringInfoString(&reader->json, ": ");
	else if (!level->empty)
		appendStringInfoString(&reader->json, ", ");
	level->empty = false;
	level->at_key = level->mapping && !level->at_key;
}

static void
reader_open(Reader *reader, bool mapping, yaml_event_t * event)
{
	if (reader->depth > 0 && reader->levels[reader->depth - 1].mapping &&
		reader->levels[reader->depth - 1].at_key)
		reader_error(reader, "a key is not a scalar", event->start_mark.line);
	if (reader->depth >= MAX_DEPTH)
		reader_error(reader, "nesting is too deep", event->start_mark.line);
	reader_separate(reader);
	appendStringInfoChar(&reader->json, mapping ? '{' : '[');
	reader->levels[reader->depth++] = (Level)
	{
		.mapping = mapping,.at_key = mapping,.empty = true
	};
}

static void
reader_close(Reader *reader)
{
	Level	   *level = &reader->levels[--reader->depth];

	appendStringInfoChar(&reader->json, level->mapping ? '}' : ']');
}

static void
reader_scalar(Reader *reader, yaml_event_t * event)
{
	const char *text = (const char *) event->data.scalar.value;
	int			length = event->data.scalar.length;
	bool		plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	bool		is_key = reader->depth > 0 && reader->levels[reader->depth - 1].at_key;

	if (strlen(text) != (size_t) length)
		reader_error(reader, "a string holds a zero character", event->start_mark.line);
	reader_separate(reader);
	if (plain && !is_key &&
		(length == 0 || strcmp(text, "~") == 0 || pg_strcasecmp(text, "null") == 0))
		appendStringInfoString(&reader->json, "null");
	else
		escape_json(&reader->json, pg_any_to_server(text, length, PG_UTF8));
}

static void
reader_event(Reader *reader, yaml_event_t * event)
{
	switch (event->type)
	{
		case YAML_DOCUMENT_START_EVENT:
			if (reader->done)
				reader_error(reader, "there is more than one document", event->start_mark.line);
			break;
		case YAML_DOCUMENT_END_EVENT:
			reader->done = true;
			break;
		case YAML_ALIAS_EVENT:
			reader_error(reader, "aliases are not taken", event->start_mark.line);
			break;
		case YAML_SCALAR_EVENT:
			reader_scalar(reader, event);
			break;
		case YAML_SEQUENCE_START_EVENT:
		case YAML_MAPPING_START_EVENT:
			reader_open(reader, event->type == YAML_MAPPING_START_EVENT, event);
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			reader_close(reader);
			break;
		default:
			break;
	}
}

static void
reader_run(Reader *reader)
{
	while (reader->event.type != YAML_STREAM_END_EVENT)
	{
		yaml_event_delete(&reader->event);
		if (!yaml_parser_parse(&reader->parser, &reader->event))
			reader_error(reader, reader->parser.problem ? reader->parser.problem : "not YAML",
						 reader->parser.problem_mark.line);
		reader_event(reader, &reader->event);
	}
	if (reader->json.len == 0)
		appendStringInfoString(&reader->json, "null");
}

/* vektonn._yaml(text) returns jsonb */
Datum
vk_yaml(PG_FUNCTION_ARGS)
{
	text	   *argument = PG_GETARG_TEXT_PP(0);
	int			length = VARSIZE_ANY_EXHDR(argument);
	char	   *utf8;
	Reader	   *reader = palloc0(sizeof(Reader));

	if (length > MAX_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("YAML is longer than %d bytes", MAX_LENGTH)));
	utf8 = pg_server_to_any(text_to_cstring(argument), length, PG_UTF8);
	initStringInfo(&reader->json);
	if (!yaml_parser_initialize(&reader->parser))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	PG_TRY();
	{
		yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&reader->parser, (const unsigned char *) utf8, strlen(utf8));
		reader_run(reader);
	}
	PG_FINALLY();
	{
		yaml_event_delete(&reader->event);
		yaml_parser_delete(&reader->parser);
	}
	PG_END_TRY();
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(reader->json.data));
}
