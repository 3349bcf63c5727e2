/*-------------------------------------------------------------------------
 *
 * partial.c
 *	  Searches that go on without the shards on nodes that are away.
 *
 * postgres_fdw's error ends the statement that asks all shards, and does not
 * say which of them it was.  So they are asked one by one then, each in a
 * subtransaction, and the statement is made again of those that answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"

#include "catalog/index_cache.h"
#include "catalog/partial.h"
#include "util/subtransaction.h"

bool		vk_partial_results = false;

/* Whether a node is away, or going: not whether it refuses something. */
static bool
is_connection_error(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_TO_CATEGORY(ERRCODE_CONNECTION_EXCEPTION) ||
		sqlstate == ERRCODE_ADMIN_SHUTDOWN || sqlstate == ERRCODE_CRASH_SHUTDOWN ||
		sqlstate == ERRCODE_CANNOT_CONNECT_NOW;
}

bool
vk_partial_try(void (*callback) (void *arg), void *arg, char **reason)
{
	ErrorData  *error = vk_in_subtransaction(callback, arg);

	if (error == NULL)
		return true;
	if (!is_connection_error(error->sqlerrcode))
		ReThrowError(error);
	*reason = error->message ? error->message : "unknown error";
	return false;
}

static void
ask_partition(void *arg)
{
	char	   *statement = psprintf("SELECT 1 FROM %s LIMIT 1", (const char *) arg);

	if (SPI_execute(statement, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", statement);
	SPI_freetuptable(SPI_tuptable);
}

bool *
vk_partial_find_away(const VkIndexDef *def)
{
	bool	   *away = palloc0(sizeof(bool) * Max(def->num_partitions, 1));

	for (int i = 0; i < def->num_partitions; i++)
	{
		char	   *reason;

		CHECK_FOR_INTERRUPTS();
		away[i] = !vk_partial_try(ask_partition, def->partition_names[i], &reason);
		if (away[i])
			ereport(WARNING,
					(errcode(ERRCODE_CONNECTION_EXCEPTION),
					 errmsg("answer without shard %s: %s", def->partition_names[i], reason)));
	}
	return away;
}
