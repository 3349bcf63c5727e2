/*-------------------------------------------------------------------------
 *
 * target.h
 *	  The table a stream writes: its columns, and a row on its way from a
 *	  message to it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_TARGET_H
#define VK_TARGET_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/execnodes.h"

#include "kafka_bgworker/message.h"

/* Types whose values are made here; all others go through their input function. */
typedef enum VkColumnType
{
	VK_TYPE_INPUT,
	VK_TYPE_INT2,
	VK_TYPE_INT4,
	VK_TYPE_INT8,
	VK_TYPE_FLOAT4,
	VK_TYPE_FLOAT8,
	VK_TYPE_BOOL,
	VK_TYPE_TEXT,
	VK_TYPE_UUID,
	VK_TYPE_TIMESTAMPTZ,		/* strings through the input function */
	VK_TYPE_VECTOR,
	VK_TYPE_HALFVEC,
	VK_TYPE_SPARSEVEC
} VkColumnType;

typedef struct VkColumn
{
	NameData	name;
	int			name_len;
	AttrNumber	attnum;
	Oid			typid;
	int32		typmod;
	Oid			collation;
	VkColumnKind kind;
	VkColumnType type;
	bool		takes_numbers;	/* through the input function: JSON numbers */
	bool		takes_bools;
	FmgrInfo	input;
	Oid			io_param;
	int32		io_typmod;
	Oid			element;		/* of an array */
	int16		element_len;
	bool		element_byval;
	char		element_align;
	bool		is_key;
	bool		is_permanent;	/* part of a message's key; every key column
								 * is */
	int			optional;		/* 0.. for a column that has a default, else
								 * -1 */
	FmgrInfo	hash;			/* of key columns */
	FmgrInfo	equal;			/* of permanent columns */
	char	   *equal_operator; /* OPERATOR(schema.=) of permanent columns */
} VkColumn;

typedef struct VkTarget
{
	Oid			relid;
	Oid			owner;
	char	   *name;			/* quoted and qualified */
	int			column_count;
	VkColumn   *columns;
	int			key_count;
	int		   *keys;			/* into columns */
	int			permanent_count;
	int		   *permanent;		/* by name, as a format without names orders
								 * them */
	int			conflict_count;
	int		   *conflict;		/* columns of the unique index */
	int			optional_count;
	int			vector_column;	/* into columns, -1: none or several */
	bool		may_raise;		/* some column's values are made by functions
								 * that raise errors */
	bool		unknown_is_error;
	ExprState  *shard;			/* which rows are kept here; NULL: all */
	ExprContext *shard_context;
	TupleTableSlot *shard_slot; /* a row for it */
	TupleDesc	desc;			/* of a row: the columns in order */
	TupleDesc	delete_desc;	/* of a tombstone: the permanent columns, and
								 * the message's number */
	TupleDesc	foreign_desc;	/* of a row that belongs elsewhere: the key
								 * columns, and the message's number */
} VkTarget;

#define VK_MESSAGE_COLUMN	"vk_message"

/* Columns with defaults that a message may leave out. */
#define VK_MAX_OPTIONAL		64

/* What is wrong with a message. */
typedef struct VkProblem
{
	char		sqlstate[6];
	char		text[400];
} VkProblem;

typedef struct VkRow
{
	bool		is_delete;
	bool		is_foreign;		/* not to be kept here */
	uint64		present;		/* optional columns the message has */
	Datum	   *values;
	bool	   *nulls;
} VkRow;

/* target.c: in a transaction, in a context that lives as long as the result */
extern VkTarget *vk_target_open(Oid relid, const char *const *key_names, int key_count,
								const char *const *permanent_names, int permanent_count,
								const char *const *column_names, int column_count,
								const char *vector_name, bool unknown_is_error);

/*
 * From now on the target keeps only the rows for which that CHECK constraint
 * of its holds.
 */
extern void vk_target_set_shard(VkTarget *target, const char *constraint_name);

/* Whether a row with these permanent columns is kept; in a transaction, as the owner. */
extern bool vk_target_keeps(const VkTarget *target, Datum *values, bool *nulls);

/* row_sink.c */
extern VkRowSink *vk_sink_create(const VkTarget *target, const VkMessageFormat *format);

/*
 * Makes a row of a message, in CurrentMemoryContext; false, and the problem,
 * when it cannot.  Raises errors of input functions when target->may_raise.
 */
extern bool vk_sink_decode(VkRowSink *sink, const VkMessage *message, VkRow *row, VkProblem *problem);

#endif							/* VK_TARGET_H */
