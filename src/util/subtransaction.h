/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Does something whose error is not to end the transaction.
 *
 * In line, because each loadable module needs its own: the one for Kafka is
 * loaded without vektonn.so as well.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_SUBTRANSACTION_H
#define VK_SUBTRANSACTION_H

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/*
 * Calls callback(arg) in a subtransaction, in the caller's memory context.
 * NULL when it succeeded; else the error that undid it, in that context, which
 * the caller handles or raises again.  Memory context and resource owner of
 * the caller are restored either way.
 */
static inline ErrorData *
vk_in_subtransaction(void (*callback) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		callback(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

#endif
