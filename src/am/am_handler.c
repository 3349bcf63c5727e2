/*-------------------------------------------------------------------------
 *
 * am_handler.c
 *	  The access method's entry in pg_am, and its operator classes' check.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type_d.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

PG_FUNCTION_INFO_V1(vk_am_handler);
PG_FUNCTION_INFO_V1(vk_am_elem_vector);
PG_FUNCTION_INFO_V1(vk_am_elem_halfvec);
PG_FUNCTION_INFO_V1(vk_am_elem_sparsevec);

Datum
vk_am_handler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *routine = makeNode(IndexAmRoutine);

	routine->amstrategies = VK_NUM_STRATEGIES;
	routine->amsupport = VK_NUM_PROCS;
	routine->amcanorderbyop = true;
	routine->amcanmulticol = true;
	routine->amoptionalkey = true;
	routine->amsearcharray = true;
	routine->amsearchnulls = true;
	routine->amusemaintenanceworkmem = false;
	routine->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	vk_can_build_parallel_compat(routine);
	routine->amkeytype = InvalidOid;

	routine->ambuild = vk_build;
	routine->ambuildempty = vk_build_empty;
	routine->aminsert = vk_aminsert;
	routine->ambulkdelete = vk_bulk_delete;
	routine->amvacuumcleanup = vk_vacuum_cleanup;
	routine->amcostestimate = vk_cost_estimate;
	routine->amoptions = vk_options_parse;
	routine->ambuildphasename = vk_build_phase;
	routine->amvalidate = vk_validate;
	routine->ambeginscan = vk_begin_scan;
	routine->amrescan = vk_rescan;
	routine->amgettuple = vk_get_tuple;
	routine->amgetbitmap = vk_get_bitmap;
	routine->amendscan = vk_end_scan;
	PG_RETURN_POINTER(routine);
}

/* Support functions that say which element type an operator class is for. */
Datum
vk_am_elem_vector(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(VK_ELEM_FLOAT4);
}

Datum
vk_am_elem_halfvec(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(VK_ELEM_FLOAT2);
}

Datum
vk_am_elem_sparsevec(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(VK_ELEM_SPARSE);
}

/* ------------------------------------------------------------------------
 * amvalidate
 * ------------------------------------------------------------------------ */

typedef struct Validation
{
	const char *name;
	Oid			type;			/* of the class being checked */
	bool		valid;
	int			norderings;		/* of the class' own type */
	bool		has_equal;
	bool		has_elem;
	bool		has_hash;
} Validation;

static void
pg_attribute_printf(2, 3)
complain(Validation *validation, const char *format,...)
{
	StringInfoData text;

	validation->valid = false;
	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator class \"%s\" of access method vektonn %s",
					validation->name, text.data)));
	pfree(text.data);
}

static void
validate_operator(Validation *validation, Form_pg_amop member)
{
	const char *name = format_operator(member->amopopr);
	bool		own = member->amoplefttype == validation->type &&
	member->amoprighttype == validation->type;

	if (member->amopstrategy == VK_STRATEGY_EQUAL)
	{
		if (member->amoppurpose != AMOP_SEARCH || get_op_rettype(member->amopopr) != BOOLOID)
			complain(validation, "contains operator %s that is no equality", name);
		validation->has_equal |= own;
		return;
	}
	if (member->amopstrategy < 1 || member->amopstrategy > VK_NUM_METRICS)
	{
		complain(validation, "contains operator %s with strategy number %d", name,
				 member->amopstrategy);
		return;
	}
	if (member->amoppurpose != AMOP_ORDER || get_op_rettype(member->amopopr) != FLOAT8OID ||
		member->amopsortfamily != lookup_type_cache(FLOAT8OID, TYPECACHE_BTREE_OPFAMILY)->btree_opf)
		complain(validation, "contains operator %s that is no ORDER BY operator of float8", name);
	if (member->amoplefttype != member->amoprighttype)
		complain(validation, "contains distance operator %s of two types", name);
	validation->norderings += own;
}

static void
validate_procedure(Validation *validation, Form_pg_amproc member)
{
	const char *name = format_procedure(member->amproc);
	Oid		   *types;
	int			ntypes;
	Oid			result = get_func_signature(member->amproc, &types, &ntypes);
	bool		own = member->amproclefttype == validation->type &&
	member->amprocrighttype == validation->type;

	if (member->amprocnum == VK_PROC_ELEM)
	{
		if (result != INT4OID || ntypes != 1 || types[0] != INTERNALOID)
			complain(validation, "contains function %s with wrong signature for support number %d",
					 name, member->amprocnum);
		validation->has_elem |= own;
	}
	else if (member->amprocnum == VK_PROC_HASH)
	{
		if (result != INT8OID || ntypes != 2 || types[1] != INT8OID)
			complain(validation, "contains function %s with wrong signature for support number %d",
					 name, member->amprocnum);
		validation->has_hash |= own;
	}
	else
		complain(validation, "contains function %s with support number %d", name,
				 member->amprocnum);
}

bool
vk_validate(Oid opclass)
{
	HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass form;
	Validation	validation = {0};
	CatCList   *members;
	Oid			family;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	family = form->opcfamily;
	validation.valid = true;
	validation.type = form->opcintype;
	validation.name = pstrdup(NameStr(form->opcname));
	ReleaseSysCache(tuple);

	members = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(family));
	for (int i = 0; i < members->n_members; i++)
		validate_operator(&validation,
						  (Form_pg_amop) GETSTRUCT(&members->members[i]->tuple));
	ReleaseSysCacheList(members);
	members = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(family));
	for (int i = 0; i < members->n_members; i++)
		validate_procedure(&validation,
						   (Form_pg_amproc) GETSTRUCT(&members->members[i]->tuple));
	ReleaseSysCacheList(members);

	if (validation.has_equal)
	{
		if (!validation.has_hash)
			complain(&validation, "lacks the hash function of type %s",
					 format_type_be(validation.type));
		if (validation.has_elem || validation.norderings > 0)
			complain(&validation, "is for vectors and for split columns at once");
	}
	else if (validation.norderings != 1 || !validation.has_elem)
		complain(&validation, "lacks the distance operator or the element function of type %s",
				 format_type_be(validation.type));
	return validation.valid;
}
