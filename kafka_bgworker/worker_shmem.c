/*-------------------------------------------------------------------------
 *
 * worker_shmem.c
 *	  Shared memory of launcher and workers, and the requests backends make
 *	  through it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"

#include "kafka_bgworker/worker_shmem.h"

#define TRANCHE_NAME	"vektonn_streams"

/* How often a statement that needs a database alone looks whether its workers have gone. */
#define BLOCK_POLL_MS	10

int			vk_max_stream_workers = 32;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
shmem_size(void)
{
	return add_size(offsetof(VkStreamShmem, slots),
					mul_size(vk_max_stream_workers, sizeof(VkStreamSlot)));
}

static void
shmem_request(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shmem_size());
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

static void
shmem_startup(void)
{
	VkStreamShmem *shmem;
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shmem = ShmemInitStruct("vektonn streams", shmem_size(), &found);
	if (!found)
	{
		memset(shmem, 0, shmem_size());
		shmem->lock = &GetNamedLWLockTranche(TRANCHE_NAME)->lock;
		shmem->slot_count = vk_max_stream_workers;
		shmem->discover_all = true;
		for (int i = 0; i < shmem->slot_count; i++)
			ConditionVariableInit(&shmem->slots[i].progress);
	}
	LWLockRelease(AddinShmemInitLock);
	*find_rendezvous_variable(VK_SHMEM_RENDEZVOUS) = shmem;
}

/* Only while shared_preload_libraries are loaded. */
void
vk_stream_shmem_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

/* Caller holds the lock. */
static void
wake_launcher_locked(VkStreamShmem *shmem)
{
	if (shmem->launcher_latch)
		SetLatch(shmem->launcher_latch);
}

void
vk_stream_wake_launcher(void)
{
	VkStreamShmem *shmem = vk_stream_shmem();

	LWLockAcquire(shmem->lock, LW_SHARED);
	wake_launcher_locked(shmem);
	LWLockRelease(shmem->lock);
}

/* Asks the launcher to look at the streams of a database, and its workers to look at theirs. */
void
vk_stream_request(Oid dboid)
{
	VkStreamShmem *shmem = vk_stream_shmem();
	bool		known = false;

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shmem->request_count && !known; i++)
		known = shmem->requests[i] == dboid;
	if (known)
		;
	else if (shmem->request_count == VK_MAX_REQUESTS)
		shmem->discover_all = true;
	else
		shmem->requests[shmem->request_count++] = dboid;
	for (int i = 0; i < shmem->slot_count; i++)
	{
		if (shmem->slots[i].in_use && shmem->slots[i].dboid == dboid && shmem->slots[i].latch)
		{
			shmem->slots[i].wake = true;
			SetLatch(shmem->slots[i].latch);
		}
	}
	wake_launcher_locked(shmem);
	LWLockRelease(shmem->lock);
}

/* Caller holds the lock.  A backend that died left its entry behind: it counts no more. */
bool
vk_stream_database_blocked(Oid dboid)
{
	VkStreamShmem *shmem = vk_stream_shmem();

	for (int i = 0; i < VK_MAX_BLOCKED; i++)
	{
		VkBlockedDatabase *blocked = &shmem->blocked[i];

		if (blocked->pid != 0 && kill(blocked->pid, 0) != 0 && errno == ESRCH)
			blocked->pid = 0;
		if (blocked->pid != 0 && blocked->dboid == dboid)
			return true;
	}
	return false;
}

/* Signals the workers of a database, and says whether there are any.  Caller holds the lock. */
static bool
terminate_workers(VkStreamShmem *shmem, Oid dboid)
{
	bool		found = false;

	for (int i = 0; i < shmem->slot_count; i++)
	{
		VkStreamSlot *slot = &shmem->slots[i];

		if (slot->in_use && slot->dboid == dboid && slot->pid != 0)
		{
			kill(slot->pid, SIGTERM);
			found = true;
		}
	}
	return found;
}

/*
 * Keeps workers out of a database until vk_stream_unblock_database, and waits
 * until those that run have gone.  With no room left the statement goes ahead
 * and may find the database in use, as it would without us.
 */
void
vk_stream_block_database(Oid dboid)
{
	VkStreamShmem *shmem = vk_stream_shmem();
	bool		running;

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < VK_MAX_BLOCKED; i++)
	{
		if (shmem->blocked[i].pid == 0)
		{
			shmem->blocked[i].dboid = dboid;
			shmem->blocked[i].pid = MyProcPid;
			break;
		}
	}
	running = terminate_workers(shmem, dboid);
	LWLockRelease(shmem->lock);

	while (running)
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(BLOCK_POLL_MS * 1000L);
		LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
		running = terminate_workers(shmem, dboid);
		LWLockRelease(shmem->lock);
	}
}

void
vk_stream_unblock_database(Oid dboid)
{
	VkStreamShmem *shmem = vk_stream_shmem();

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < VK_MAX_BLOCKED; i++)
	{
		if (shmem->blocked[i].pid == MyProcPid && shmem->blocked[i].dboid == dboid)
			shmem->blocked[i].pid = 0;
	}
	LWLockRelease(shmem->lock);
	vk_stream_request(dboid);
}
