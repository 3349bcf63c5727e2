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

/* One check for every class of object, c727f511bd7 (16). */
#if PG_VERSION_NUM >= 160000
#define vk_server_aclcheck(server, role, mode) \
	object_aclcheck(ForeignServerRelationId, server, role, mode)
#else
#define vk_server_aclcheck(server, role, mode) pg_foreign_server_aclcheck(server, role, mode)
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

#endif							/* VK_PGCOMPAT_H */
