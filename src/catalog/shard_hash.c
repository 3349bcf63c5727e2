/*-------------------------------------------------------------------------
 *
 * shard_hash.c
 *	  Which shard a row belongs to.
 *
 * vektonn.hash_shard is the remainder PostgreSQL's own hash partitions go by:
 * the partitions of a coordinator and the CHECK constraints of its shards on
 * other nodes are made of the same numbers.  vektonn.farm_shard is the one
 * upstream's shards go by.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "partitioning/partbounds.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "compat/pgcompat.h"
#include "util/farmhash.h"

/* 100 ns since 0001-01-01, the time upstream hashes. */
#define DAYS_BEFORE_2000	INT64CONST(730119)
#define TICKS_PER_USEC		10

PG_FUNCTION_INFO_V1(vk_hash_shard);
PG_FUNCTION_INFO_V1(vk_farm_hash);
PG_FUNCTION_INFO_V1(vk_farm_shard);

typedef struct HashShardState
{
	int			count;
	FmgrInfo	hash[FLEXIBLE_ARRAY_MEMBER];
} HashShardState;

static int
take_shards(FunctionCallInfo fcinfo)
{
	int			shards = PG_GETARG_INT32(0);

	if (shards <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of shards must be positive")));
	return shards;
}

/* Looks up the hash functions of the arguments' types once per call site. */
static HashShardState *
hash_shard_state(FunctionCallInfo fcinfo)
{
	int			count = PG_NARGS() - 1;
	HashShardState *state = fcinfo->flinfo->fn_extra;

	if (state)
		return state;
	if (get_fn_expr_variadic(fcinfo->flinfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("values must be given one by one, not as VARIADIC array")));
	if (count > PARTITION_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a shard cannot depend on more than %d values", PARTITION_MAX_KEYS)));
	state = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
								   offsetof(HashShardState, hash) + sizeof(FmgrInfo) * count);
	state->count = count;
	for (int i = 0; i < count; i++)
	{
		Oid			type = get_fn_expr_argtype(fcinfo->flinfo, i + 1);
		TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC);

		if (!OidIsValid(entry->hash_extended_proc))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("type %s has no hash function to partition by", format_type_be(type))));
		fmgr_info_cxt(entry->hash_extended_proc, &state->hash[i], fcinfo->flinfo->fn_mcxt);
	}
	fcinfo->flinfo->fn_extra = state;
	return state;
}

/* vektonn.hash_shard(shards int, VARIADIC "any") */
Datum
vk_hash_shard(PG_FUNCTION_ARGS)
{
	HashShardState *state;
	Oid			collations[PARTITION_MAX_KEYS];
	Datum		values[PARTITION_MAX_KEYS];
	bool		nulls[PARTITION_MAX_KEYS];
	int			shards;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	shards = take_shards(fcinfo);
	state = hash_shard_state(fcinfo);
	for (int i = 0; i < state->count; i++)
	{
		collations[i] = PG_GET_COLLATION();
		values[i] = PG_GETARG_DATUM(i + 1);
		nulls[i] = PG_ARGISNULL(i + 1);
	}
	PG_RETURN_INT32((int) (compute_partition_hash_value(state->count, state->hash, collations, values, nulls) % shards));
}

/* Upstream's strings are UTF-16, little-endian. */
static uint64
farm_hash_string(text * string)
{
	unsigned char *utf8 = (unsigned char *) pg_server_to_any(text_to_cstring(string), VARSIZE_ANY_EXHDR(string), PG_UTF8);
	unsigned char *utf16 = palloc(strlen((char *) utf8) * 2 + 1);
	size_t		length = 0;

	for (; *utf8; utf8 += pg_utf_mblen(utf8))
	{
		uint32		code = utf8_to_unicode(utf8);
		uint32		units[2] = {code, 0};
		int			count = 1;

		if (code >= 0x10000)
		{
			units[0] = 0xd800 + ((code - 0x10000) >> 10);
			units[1] = 0xdc00 + ((code - 0x10000) & 0x3ff);
			count = 2;
		}
		for (int i = 0; i < count; i++)
		{
			utf16[length++] = units[i] & 0xff;
			utf16[length++] = units[i] >> 8;
		}
	}
	return vk_farmhash64(utf16, length);
}

static uint64
farm_hash_uint64(uint64 value)
{
	unsigned char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = value >> (8 * i);
	return vk_farmhash64(bytes, sizeof(bytes));
}

/* The first three parts of a Guid are little-endian in .NET. */
static uint64
farm_hash_guid(const pg_uuid_t *uuid)
{
	static const int order[UUID_LEN] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	unsigned char bytes[UUID_LEN];

	for (int i = 0; i < UUID_LEN; i++)
		bytes[i] = uuid->data[order[i]];
	return vk_farmhash64(bytes, sizeof(bytes));
}

static uint64
farm_hash_time(TimestampTz time)
{
	if (TIMESTAMP_NOT_FINITE(time))
		return farm_hash_uint64(time);
	return farm_hash_uint64(((uint64) time + DAYS_BEFORE_2000 * USECS_PER_DAY) * TICKS_PER_USEC);
}

static uint64
farm_hash(FunctionCallInfo fcinfo, int argument)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argument);
	double		float64;
	uint64		bits;

	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
			return farm_hash_string(PG_GETARG_TEXT_PP(argument));
		case UUIDOID:
			return farm_hash_guid(PG_GETARG_UUID_P(argument));
		case BOOLOID:
			return PG_GETARG_BOOL(argument) ? 1 : 0;
		case INT8OID:
			return farm_hash_uint64(PG_GETARG_INT64(argument));
		case FLOAT8OID:
			float64 = PG_GETARG_FLOAT8(argument);
			memcpy(&bits, &float64, sizeof(bits));
			return farm_hash_uint64(bits);
		case TIMESTAMPTZOID:
			return farm_hash_time(PG_GETARG_TIMESTAMPTZ(argument));
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("type %s is not that of an attribute", format_type_be(type)),
			 errhint("Types are: text, uuid, boolean, bigint, double precision, timestamp with time zone.")));
}

/* vektonn.farm_hash("any"): unsigned */
Datum
vk_farm_hash(PG_FUNCTION_ARGS)
{
	char	   *digits = psprintf(UINT64_FORMAT, farm_hash(fcinfo, 0));

	return DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* vektonn.farm_shard(shards int, "any") */
Datum
vk_farm_shard(PG_FUNCTION_ARGS)
{
	int			shards = take_shards(fcinfo);

	PG_RETURN_INT32((int) (farm_hash(fcinfo, 1) % (uint64) shards));
}
