/*-------------------------------------------------------------------------
 *
 * pgcompat.h
 *	  Differences between the supported PostgreSQL versions, 15 to 18.
 *
 * This is the only file that may mention PG_VERSION_NUM (checked by
 * test/ci/check_pg_version_num.sh).  Each shim is an inline function or macro
 * with the newest signature and names the upstream change it stands for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_PGCOMPAT_H
#define VK_PGCOMPAT_H

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "vektonn supports PostgreSQL 15, 16, 17 and 18"
#endif

/* VARSIZE and its kin moved out of postgres.h, d952373a987 (16). */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* One check for every class of object, c727f511bd7 (16). */
#if PG_VERSION_NUM >= 160000
#define vk_server_aclcheck(server, role, mode) \
	object_aclcheck(ForeignServerRelationId, server, role, mode)
#else
#define vk_server_aclcheck(server, role, mode) pg_foreign_server_aclcheck(server, role, mode)
#endif

/* pg_noreturn goes before a declaration since 18 (28e04155f17). */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/*
 * 16 gave input functions soft errors (d9f7f5d32): reported to the caller that
 * asked for them, else raised as ever.
 */
#if PG_VERSION_NUM >= 160000
#define vk_ereturn_compat(escontext, dummy, ...) ereturn(escontext, dummy, __VA_ARGS__)
#else
#define vk_ereturn_compat(escontext, dummy, ...) ereport(ERROR, __VA_ARGS__)
#endif

/* RelFileNode became RelFileLocator, b0a55e43299 (16). */
#if PG_VERSION_NUM >= 160000
#define RelationGetLocator_compat(rel)		((rel)->rd_locator)
#define RelationGetRelNumber_compat(rel)	((rel)->rd_locator.relNumber)
#else
#define RelationGetLocator_compat(rel)		((rel)->rd_node)
#define RelationGetRelNumber_compat(rel)	((rel)->rd_node.relNode)
#endif

/* ExtendBufferedRel() replaces ReadBuffer(P_NEW), 31966b151e6 (16). */
#include "storage/bufmgr.h"

#if PG_VERSION_NUM >= 160000
#define vk_extend_relation_compat(rel) \
	ExtendBufferedRel(BMR_REL(rel), MAIN_FORKNUM, NULL, EB_LOCK_FIRST)
#define vk_extend_init_fork_compat(rel) \
	ExtendBufferedRel(BMR_REL(rel), INIT_FORKNUM, NULL, EB_LOCK_FIRST | EB_SKIP_EXTENSION_LOCK)

/* Adds some empty pages that only the caller knows of; their blocks: result..*end-1. */
static inline BlockNumber
vk_extend_relation_by_compat(Relation rel, uint32 wanted, BlockNumber *end)
{
	Buffer		buffers[64];
	uint32		count = 0;
	BlockNumber first = ExtendBufferedRelBy(BMR_REL(rel), MAIN_FORKNUM, NULL, 0,
											Min(wanted, lengthof(buffers)), buffers, &count);

	for (uint32 i = 0; i < count; i++)
		ReleaseBuffer(buffers[i]);
	*end = first + count;
	return first;
}

/* One of these pages, exclusively locked. */
static inline Buffer
vk_read_empty_page_compat(Relation rel, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(rel, block);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}
#else
#include <fcntl.h>

#include "common/relpath.h"
#include "storage/fd.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"

/*
 * As above.  Only the space in the file is reserved, so that a full disk is
 * noticed now and not in the next checkpoint; where that is not possible none
 * is added and *end is the result.
 */
static inline BlockNumber
vk_extend_relation_by_compat(Relation rel, uint32 wanted, BlockNumber *end)
{
	bool		lock = !RELATION_IS_LOCAL(rel);
	char	   *path = relpath(RelationGetSmgr(rel)->smgr_rnode, MAIN_FORKNUM);
	BlockNumber first;
	BlockNumber segment;
	int			file;

	if (lock)
		LockRelationForExtension(rel, ExclusiveLock);
	*end = first = RelationGetNumberOfBlocks(rel);
	segment = first / RELSEG_SIZE;
	wanted = Min(wanted, RELSEG_SIZE - first % RELSEG_SIZE);
	if (segment > 0)
		path = psprintf("%s.%u", path, segment);
	/* the first page of a segment makes its file; let PostgreSQL do that */
	file = first % RELSEG_SIZE == 0 ? -1 : OpenTransientFile(path, O_RDWR | PG_BINARY);
	if (file >= 0)
	{
		if (posix_fallocate(file, (off_t) (first % RELSEG_SIZE) * BLCKSZ,
							(off_t) wanted * BLCKSZ) == 0)
			*end = first + wanted;
		CloseTransientFile(file);
	}
	if (lock)
		UnlockRelationForExtension(rel, ExclusiveLock);
	return first;
}

static inline Buffer
vk_read_empty_page_compat(Relation rel, BlockNumber block)
{
	return ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
}

static inline Buffer
vk_extend_relation_compat(Relation rel)
{
	/*
	 * not RELATION_IS_LOCAL(): a parallel build extends what its transaction
	 * made
	 */
	bool		lock = !RelationUsesLocalBuffers(rel);
	Buffer		buffer;

	if (lock)
		LockRelationForExtension(rel, ExclusiveLock);
	buffer = ReadBuffer(rel, P_NEW);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (lock)
		UnlockRelationForExtension(rel, ExclusiveLock);
	return buffer;
}

static inline Buffer
vk_extend_init_fork_compat(Relation rel)
{
	Buffer		buffer = ReadBufferExtended(rel, INIT_FORKNUM, P_NEW, RBM_NORMAL, NULL);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}
#endif

/* An access method says that it builds in parallel, b437571714 (17). */
#if PG_VERSION_NUM >= 170000
#define vk_can_build_parallel_compat(routine)	((routine)->amcanbuildparallel = true)
#else
#define vk_can_build_parallel_compat(routine)	((void) (routine))
#endif

/* Extensions can add to a node of EXPLAIN, 4fd02bf7cf9 (18). */
#if PG_VERSION_NUM >= 180000
#define VK_HAVE_EXPLAIN_PER_NODE
#endif

/* vacuum_delay_point() takes is_analyze, e5b0b0ce150 (18). */
#if PG_VERSION_NUM >= 180000
#define vacuum_delay_point_compat()	vacuum_delay_point(false)
#else
#define vacuum_delay_point_compat()	vacuum_delay_point()
#endif

/* One check for every class of object, c727f511bd7 (16). */
#if PG_VERSION_NUM >= 160000
#define vk_class_ownercheck_compat(oid, role) \
	object_ownercheck(RelationRelationId, oid, role)
#else
#define vk_class_ownercheck_compat(oid, role)	pg_class_ownercheck(oid, role)
#endif

/* One check for every class of object, afbfc02983f (16). */
#if PG_VERSION_NUM >= 160000
#define vk_database_ownercheck(database, role) object_ownercheck(DatabaseRelationId, database, role)
#else
#define vk_database_ownercheck(database, role) pg_database_ownercheck(database, role)
#endif

/* index_beginscan() takes an instrumentation struct, 0fbceae841c (18). */
#if PG_VERSION_NUM >= 180000
#define vk_index_beginscan_compat(heap, index, snapshot, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, norderbys)
#else
#define vk_index_beginscan_compat(heap, index, snapshot, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, nkeys, norderbys)
#endif

/*
 * Disabled paths are counted, not costed, e2225346465 (18): a path that must
 * not be taken needs a higher count than one the user switched off.
 */
#if PG_VERSION_NUM >= 180000
#define vk_path_disable_compat(path)	((path)->disabled_nodes = 2)
#else
#define vk_path_disable_compat(path)	((void) (path))
#endif

#endif							/* VK_PGCOMPAT_H */
