/*-------------------------------------------------------------------------
 *
 * am_build_team.c
 *	  CREATE INDEX with split columns by several processes.
 *
 * First all processes read the table, in a parallel scan, and write its rows to
 * parts: temporary files that all can read.  Splits of which a sample of the
 * table has many rows are *known*: each has a part of its own.  The other
 * splits share parts, each a range of their order.  Then it is known how many
 * rows a part has, and parts are loaded, the largest first:
 *
 * - by all processes together, if it would not fit the memory of one, or if
 *   whole splits could not be shared out evenly otherwise.  Their bulk load is in the shared memory made at the
 *   beginning, for one part at a time.  Who comes later joins; the last to
 *   leave ends the load while the others go on with other parts.
 * - by one process, in memory of its own: a range is sorted first.
 *
 * The directory, shared pages and NULLs are used as in concurrent insertions.
 *
 * Memory: half of maintenance_work_mem at most for what is shared, the rest for
 * the processes, evenly.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "commands/progress.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/sharedfileset.h"
#include "storage/spin.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"
#include "utils/sharedtuplestore.h"
#include "utils/wait_event.h"

#include "am/am_build.h"

/* Ranges of the order: 2 to the power of this. */
#define MAX_RANGE_BITS	6

/* A split is known if it has 1 of so many rows of the sample, and a few. */
#define KNOWN_SHARE		64
#define KNOWN_ROWS		4
#define MAX_KNOWN		KNOWN_SHARE

#define MAX_PARTS		(MAX_KNOWN + (1 << MAX_RANGE_BITS))

/* What a process needs to write to a part: a chunk and a buffer. */
#define PART_KB			(32 + BLCKSZ / 1024)

/*
 * How long a process may be idle in the end, as a share of the time of all: if
 * longer, a split is loaded by all, although that takes 5 to 25 % more CPU.
 */
#define IDLE_SHARE		20

/* Room over what the number of rows is estimated to need. */
#define SHARED_SLACK	1.25

/* While it waits, the leader reports progress this often. */
#define PROGRESS_MS		500

#define SIGN_BIT		(UINT64CONST(1) << 63)

typedef struct KnownSplit
{
	uint64		order;
	uint64		hash;
	uint32		count;			/* of rows in the sample */
	uint32		key_size;
	char		key[VK_MAX_KEY_SIZE];	/* an IndexTuple */
} KnownSplit;

struct VkSplitPlan
{
	VkIndex    *index;
	int			nprocesses;
	double		row_bytes;		/* in memory of a bulk load */
	int			nknown;
	KnownSplit *known;			/* by order */
	int			range_bits;
	Size		area_size;		/* for the part that all load; 0: none */
	int			memory_kb;		/* of each process */
};

/* What the shared memory is used for. */
typedef enum AreaState
{
	AREA_FREE,
	AREA_STARTING,				/* one process prepares it */
	AREA_OPEN,					/* others may join */
	AREA_ENDING					/* all rows are in, one process ends it */
} AreaState;

typedef struct Part
{
	uint64		rows;
	uint64		bytes;			/* on shared pages, if it were one small split */
} Part;

/* At the begin of the segment; known splits, parts' stores, area follow. */
typedef struct TeamShared
{
	int			nprocesses;
	int			nknown;
	int			nparts;			/* known splits, then ranges */
	int			range_bits;
	int			memory_kb;
	double		row_bytes;
	Size		known_offset;
	Size		stores_offset;
	Size		store_size;
	Size		area_offset;
	Size		area_size;
	SharedFileSet files;
	pg_atomic_uint64 loaded;	/* rows */
	ConditionVariable changed;	/* anything below */
	slock_t		mutex;			/* protects the following */
	int			present;		/* processes there are */
	int			scanning;		/* of them, have not read their part of the
								 * table */
	Part		parts[MAX_PARTS];	/* counts; final when nobody scans */
	bool		planned;		/* the following is valid */
	int			njobs;
	int			nall;			/* the first so many are loaded by all */
	int			next_all;
	int			next_alone;
	uint16		jobs[MAX_PARTS];	/* parts */
	AreaState	area;
	int			area_part;
	int			joined;			/* processes that load area_part */
	bool		drained;		/* no row of it is left to take */
} TeamShared;

/* Of one process. */
struct VkSplitTeam
{
	VkIndex    *index;
	int			process;
	TeamShared *shared;
	const KnownSplit *known;
	SharedTuplestoreAccessor **stores;	/* of parts */
	Part	   *parts;			/* rows this process has written */
	TupleDesc	desc;
	TupleTableSlot *form;		/* row of the table */
	TupleTableSlot *slot;		/* row of a part */
	MemoryContext context;
	MemoryContext row_context;
	MemoryContext job_context;	/* of loading one part */
};

typedef enum TeamWork
{
	WORK_NONE,
	WORK_WAIT,					/* there may be some later */
	WORK_START,					/* load a part, others may join */
	WORK_JOIN,
	WORK_ALONE
} TeamWork;

/* ------------------------------------------------------------------------
 * Plan: before there are several processes
 * ------------------------------------------------------------------------ */

static int
compare_keys(const void *a, const void *b)
{
	uint64		left = (uint64) vk_split_order((*(const VkSplitKey *const *) a)->hash);
	uint64		right = (uint64) vk_split_order((*(const VkSplitKey *const *) b)->hash);

	return left < right ? -1 : left > right;
}

static int
compare_known(const void *a, const void *b)
{
	uint64		left = ((const KnownSplit *) a)->order;
	uint64		right = ((const KnownSplit *) b)->order;

	return left < right ? -1 : left > right;
}

static int
compare_counts(const void *a, const void *b)
{
	return (int) ((const KnownSplit *) b)->count - (int) ((const KnownSplit *) a)->count;
}

/* Finds the splits that have many rows in the sample, at most so many. */
static void
plan_known(VkSplitPlan *plan, const VkBuildSample *sample, int most)
{
	const VkSplitKey **keys = palloc(sizeof(VkSplitKey *) * sample->count);

	for (int i = 0; i < sample->count; i++)
		keys[i] = &sample->keys[i];
	qsort(keys, sample->count, sizeof(VkSplitKey *), compare_keys);
	plan->known = palloc0(sizeof(KnownSplit) * MAX_KNOWN);
	for (int from = 0, to; from < sample->count; from = to)
	{
		KnownSplit *known = &plan->known[plan->nknown];

		for (to = from + 1; to < sample->count && keys[to]->hash == keys[from]->hash; to++)
			;
		if (to - from < KNOWN_ROWS || (to - from) * KNOWN_SHARE < sample->count)
			continue;
		Assert(plan->nknown < MAX_KNOWN);
		known->hash = keys[from]->hash;
		known->order = (uint64) vk_split_order(known->hash);
		known->count = to - from;
		known->key_size = keys[from]->size;
		memcpy(known->key, keys[from]->tuple, keys[from]->size);
		plan->nknown++;
	}
	qsort(plan->known, plan->nknown, sizeof(KnownSplit), compare_counts);
	plan->nknown = Min(plan->nknown, most);
}

/* About how long it takes to load a split of so many rows. */
static double
split_cost(double rows)
{
	return rows * log2(rows + 1);
}

/*
 * How long the last one of so many processes takes for splits of these costs,
 * largest first, if each takes the next one when it is done.
 */
static double
longest_share(const double *costs, int ncosts, int nprocesses)
{
	double	   *loads = palloc0(sizeof(double) * nprocesses);
	double		longest = 0;

	for (int i = 0; i < ncosts; i++)
	{
		int			least = 0;

		for (int process = 1; process < nprocesses; process++)
			if (loads[process] < loads[least])
				least = process;
		loads[least] += costs[i];
		longest = Max(longest, loads[least]);
	}
	pfree(loads);
	return longest;
}

/*
 * How many of the splits of so many rows, largest first, are better loaded by
 * all processes.  What else there is, is in small pieces.
 */
static int
count_for_all(const double *rows, int nsplits, int nprocesses, double row_bytes, int memory_kb)
{
	double	   *costs = palloc(sizeof(double) * Max(nsplits, 1));
	double		all_costs = 0;
	double		alone;
	int			count = 0;

	for (int i = 0; i < nsplits; i++)
		all_costs += costs[i] = split_cost(rows[i]);
	alone = all_costs;
	while (count < nsplits &&
		   (rows[count] * row_bytes > (double) memory_kb * 1024 ||
			longest_share(costs + count, nsplits - count, nprocesses) - alone / nprocesses >
			all_costs / nprocesses / IDLE_SHARE))
		alone -= costs[count++];
	pfree(costs);
	return count;
}

/*
 * How to load the rows of a table by so many processes; rows: an estimate.  The
 * sample has at least one row.  In the current context.
 */
VkSplitPlan *
vk_split_plan(VkIndex *index, const VkBuildSample *sample, double rows, int nprocesses)
{
	VkSplitPlan *plan = palloc0(sizeof(VkSplitPlan));
	int			least_kb = maintenance_work_mem / 2 / nprocesses;
	int			most_parts = least_kb / PART_KB;
	double		known_rows[MAX_KNOWN];

	plan->index = index;
	plan->nprocesses = nprocesses;
	plan->row_bytes = index->store->share_row_bytes(index, sample->values, sample->count);
	plan->memory_kb = maintenance_work_mem / nprocesses;
	plan_known(plan, sample, most_parts / 2);
	while (plan->range_bits < MAX_RANGE_BITS &&
		   plan->nknown + (2 << plan->range_bits) <= most_parts)
		plan->range_bits++;
	for (int i = 0; i < plan->nknown; i++)
		known_rows[i] = rows / sample->count * plan->known[i].count;
	if (count_for_all(known_rows, plan->nknown, nprocesses, plan->row_bytes, plan->memory_kb) > 0)
	{
		double		wanted = known_rows[0] * plan->row_bytes * SHARED_SLACK;
		double		most = (double) maintenance_work_mem / 2 * 1024;

		plan->area_size = (Size) Min(wanted, most);
		plan->memory_kb = (maintenance_work_mem - (int) (plan->area_size / 1024)) / nprocesses;
		plan->area_size += index->store->share_least(index);
	}
	qsort(plan->known, plan->nknown, sizeof(KnownSplit), compare_known);
	return plan;
}

/* Where things are in the segment. */
static void
lay_out(const VkSplitPlan *plan, TeamShared *shared, Size *size)
{
	Size		offset = MAXALIGN(sizeof(TeamShared));

	shared->nparts = plan->nknown + (1 << plan->range_bits);
	shared->known_offset = offset;
	offset += MAXALIGN(sizeof(KnownSplit) * plan->nknown);
	shared->stores_offset = offset;
	shared->store_size = MAXALIGN(sts_estimate(plan->nprocesses));
	offset += shared->store_size * shared->nparts;
	shared->area_offset = CACHELINEALIGN(offset);
	shared->area_size = plan->area_size;
	*size = shared->area_offset + shared->area_size;
}

Size
vk_split_plan_size(const VkSplitPlan *plan)
{
	TeamShared	shared;
	Size		size;

	lay_out(plan, &shared, &size);
	return size;
}

static SharedTuplestore *
store_of(TeamShared *shared, int part)
{
	return (SharedTuplestore *) ((char *) shared + shared->stores_offset +
								 shared->store_size * part);
}

/* Fills in the segment, of vk_split_plan_size(). */
void
vk_split_team_create(const VkSplitPlan *plan, dsm_segment *segment)
{
	TeamShared *shared = dsm_segment_address(segment);
	Size		size;

	memset(shared, 0, sizeof(TeamShared));
	lay_out(plan, shared, &size);
	shared->nprocesses = shared->present = shared->scanning = plan->nprocesses;
	shared->nknown = plan->nknown;
	shared->range_bits = plan->range_bits;
	shared->memory_kb = Max(64, plan->memory_kb);
	shared->row_bytes = plan->row_bytes;
	memcpy((char *) shared + shared->known_offset, plan->known,
		   sizeof(KnownSplit) * plan->nknown);
	pg_atomic_init_u64(&shared->loaded, 0);
	ConditionVariableInit(&shared->changed);
	SpinLockInit(&shared->mutex);
	SharedFileSetInit(&shared->files, segment);
	for (int part = 0; part < shared->nparts; part++)
	{
		char		name[NAMEDATALEN];

		snprintf(name, sizeof(name), "part%d", part);
		(void) sts_initialize(store_of(shared, part), plan->nprocesses, 0, 0, 0, &shared->files,
							  name);
	}
}

/* In each process; process 0 is the one that created it. */
VkSplitTeam *
vk_split_team_attach(VkIndex *index, dsm_segment *segment, int process)
{
	TeamShared *shared = dsm_segment_address(segment);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "vektonn split team",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	VkSplitTeam *team = palloc0(sizeof(VkSplitTeam));

	team->index = index;
	team->process = process;
	team->shared = shared;
	team->known = (const KnownSplit *) ((char *) shared + shared->known_offset);
	team->context = context;
	team->row_context = AllocSetContextCreate(context, "vektonn team row", ALLOCSET_DEFAULT_SIZES);
	team->job_context = AllocSetContextCreate(context, "vektonn team part",
											  ALLOCSET_DEFAULT_SIZES);
	team->desc = vk_split_row_desc();
	team->form = MakeSingleTupleTableSlot(team->desc, &TTSOpsVirtual);
	team->slot = MakeSingleTupleTableSlot(team->desc, &TTSOpsMinimalTuple);
	team->parts = palloc0(sizeof(Part) * shared->nparts);
	team->stores = palloc(sizeof(SharedTuplestoreAccessor *) * shared->nparts);
	if (process > 0)
		SharedFileSetAttach(&shared->files, segment);
	for (int part = 0; part < shared->nparts; part++)
		team->stores[part] = sts_attach(store_of(shared, part), process, &shared->files);
	MemoryContextSwitchTo(old);
	return team;
}

/* So many of the processes planned for will not come. */
void
vk_split_team_absent(VkSplitTeam *team, int nprocesses)
{
	TeamShared *shared = team->shared;

	SpinLockAcquire(&shared->mutex);
	shared->present -= nprocesses;
	shared->scanning -= nprocesses;
	SpinLockRelease(&shared->mutex);
}

/* Counts the rows loaded, while vk_split_team_load() goes on. */
pg_atomic_uint64 *
vk_split_team_loaded(VkSplitTeam *team)
{
	return &team->shared->loaded;
}

/* ------------------------------------------------------------------------
 * First: from the table to parts
 * ------------------------------------------------------------------------ */

static int
part_of(const VkSplitTeam *team, uint64 order)
{
	const TeamShared *shared = team->shared;
	int			from = 0;
	int			to = shared->nknown;

	while (from < to)
	{
		int			middle = (from + to) / 2;

		if (team->known[middle].order < order)
			from = middle + 1;
		else
			to = middle;
	}
	if (from < shared->nknown && team->known[from].order == order)
		return from;
	if (shared->range_bits == 0)
		return shared->nknown;
	return shared->nknown + (int) ((order ^ SIGN_BIT) >> (64 - shared->range_bits));
}

/* A row of the table; in a context the caller resets. */
void
vk_split_team_add(VkSplitTeam *team, Datum *values, bool *isnull, ItemPointer tid)
{
	struct varlena *value = vk_split_row_form(team->index, team->form, values, isnull, tid);
	int			part = part_of(team, DatumGetInt64(team->form->tts_values[VK_SPLIT_ROW_ORDER - 1]));
	MinimalTuple tuple = ExecCopySlotMinimalTuple(team->form);
	MemoryContext old = MemoryContextSwitchTo(team->context);

	sts_puttuple(team->stores[part], NULL, tuple);
	team->parts[part].rows++;
	if (value != NULL)
		team->parts[part].bytes += vk_split_row_bytes(value);
	MemoryContextSwitchTo(old);
}

/* This process has read its part of the table. */
static void
end_scan(VkSplitTeam *team)
{
	TeamShared *shared = team->shared;
	MemoryContext old = MemoryContextSwitchTo(team->context);

	for (int part = 0; part < shared->nparts; part++)
		sts_end_write(team->stores[part]);
	MemoryContextSwitchTo(old);
	SpinLockAcquire(&shared->mutex);
	for (int part = 0; part < shared->nparts; part++)
	{
		shared->parts[part].rows += team->parts[part].rows;
		shared->parts[part].bytes += team->parts[part].bytes;
	}
	shared->scanning--;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->changed);
}

static void
report_loaded(VkSplitTeam *team)
{
	if (team->process == 0)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE,
									 (int64) pg_atomic_read_u64(&team->shared->loaded));
}

static void
wait_for_change(VkSplitTeam *team)
{
	(void) ConditionVariableTimedSleep(&team->shared->changed, PROGRESS_MS,
									   WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
}

static bool
nobody_scans(TeamShared *shared)
{
	int			scanning;

	SpinLockAcquire(&shared->mutex);
	scanning = shared->scanning;
	SpinLockRelease(&shared->mutex);
	return scanning == 0;
}

static bool
is_planned(TeamShared *shared)
{
	bool		planned;

	SpinLockAcquire(&shared->mutex);
	planned = shared->planned;
	SpinLockRelease(&shared->mutex);
	return planned;
}

static void
wait_until(VkSplitTeam *team, bool (*condition) (TeamShared *shared))
{
	ConditionVariablePrepareToSleep(&team->shared->changed);
	while (!condition(team->shared))
		wait_for_change(team);
	ConditionVariableCancelSleep();
}

/* ------------------------------------------------------------------------
 * Second: from parts to the index
 * ------------------------------------------------------------------------ */

typedef struct Job
{
	int			part;
	uint64		rows;
	bool		large;			/* one split, not a small one */
} Job;

static int
compare_jobs(const void *a, const void *b)
{
	const Job  *left = a;
	const Job  *right = b;

	if (left->large != right->large)
		return left->large ? -1 : 1;
	if (left->rows != right->rows)
		return left->rows > right->rows ? -1 : 1;
	return left->part - right->part;
}

/* In the leader, when nobody scans any more and the others wait. */
static void
plan_jobs(VkSplitTeam *team)
{
	TeamShared *shared = team->shared;
	Job			jobs[MAX_PARTS];
	double		rows[MAX_KNOWN];
	int			njobs = 0;
	int			nlarge = 0;

	for (int part = 0; part < shared->nparts; part++)
	{
		const Part *counts = &shared->parts[part];
		Job		   *job = &jobs[njobs];

		if (counts->rows == 0)
			continue;
		job->part = part;
		job->rows = counts->rows;
		job->large = part < shared->nknown && counts->bytes > VK_TINY_MAX_BYTES;
		njobs++;
	}
	qsort(jobs, njobs, sizeof(Job), compare_jobs);
	for (int i = 0; i < njobs; i++)
	{
		shared->jobs[i] = jobs[i].part;
		if (jobs[i].large)
			rows[nlarge++] = jobs[i].rows;
	}
	if (shared->area_size > 0)
		shared->nall = count_for_all(rows, nlarge, shared->present, shared->row_bytes,
									 shared->memory_kb);
	shared->next_alone = shared->nall;
	shared->njobs = njobs;
	ereport(DEBUG1,
			(errmsg("%d of %d parts of index \"%s\" are loaded by all processes",
					shared->nall, njobs, RelationGetRelationName(team->index->rel))));
	SpinLockAcquire(&shared->mutex);
	shared->planned = true;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->changed);
}

/* What this process is to do next, and has begun to do now. */
static TeamWork
take_work(TeamShared *shared, int *part)
{
	TeamWork	work = WORK_NONE;

	SpinLockAcquire(&shared->mutex);
	if (shared->area == AREA_OPEN && !shared->drained)
	{
		work = WORK_JOIN;
		shared->joined++;
		*part = shared->area_part;
	}
	else if (shared->area == AREA_FREE && shared->next_all < shared->nall)
	{
		work = WORK_START;
		*part = shared->area_part = shared->jobs[shared->next_all++];
		shared->area = AREA_STARTING;
		shared->joined = 1;
		shared->drained = false;
	}
	else if (shared->next_alone < shared->njobs)
	{
		work = WORK_ALONE;
		*part = shared->jobs[shared->next_alone++];
	}
	else if (shared->area == AREA_STARTING || shared->next_all < shared->nall)
		work = WORK_WAIT;
	SpinLockRelease(&shared->mutex);
	return work;
}

static void
set_area(TeamShared *shared, AreaState state)
{
	SpinLockAcquire(&shared->mutex);
	shared->area = state;
	SpinLockRelease(&shared->mutex);
	ConditionVariableBroadcast(&shared->changed);
}

/* No row of the part is left to take. */
static void
drain_area(TeamShared *shared)
{
	SpinLockAcquire(&shared->mutex);
	shared->drained = true;
	SpinLockRelease(&shared->mutex);
}

/* All rows this process took are in; true: it is to end the load. */
static bool
leave_area(TeamShared *shared)
{
	bool		last;

	SpinLockAcquire(&shared->mutex);
	Assert(shared->drained);
	last = --shared->joined == 0;
	if (last)
		shared->area = AREA_ENDING;
	SpinLockRelease(&shared->mutex);
	return last;
}

static void
count_loaded(void *arg)
{
	VkSplitTeam *team = arg;

	pg_atomic_fetch_add_u64(&team->shared->loaded, 1);
	report_loaded(team);
}

/* The next row this process takes from the part, in team->slot; false: none is left. */
static bool
next_row(VkSplitTeam *team, int part)
{
	MemoryContext old = MemoryContextSwitchTo(team->context);
	MinimalTuple tuple;

	CHECK_FOR_INTERRUPTS();
	tuple = sts_parallel_scan_next(team->stores[part], NULL);
	MemoryContextSwitchTo(old);
	if (tuple == NULL)
		return false;
	ExecStoreMinimalTuple(tuple, team->slot, false);
	return true;
}

/* Loads a known split, whose rows come together. */
static void
load_known(VkSplitTeam *team, int part)
{
	VkSplitLoad *load = vk_split_load_begin(team->index, team->shared->memory_kb);

	while (next_row(team, part))
	{
		vk_split_load_add(load, team->slot);
		count_loaded(team);
	}
	vk_split_load_end(load);
}

/* Sorts a range by split, and loads it. */
static void
load_range(VkSplitTeam *team, int part)
{
	int			memory_kb = team->shared->memory_kb;
	VkSplitSort *sort = vk_split_sort_begin(team->index, memory_kb / 4, memory_kb / 4 * 3);

	while (next_row(team, part))
		vk_split_sort_put(sort, team->slot);
	vk_split_sort_load(sort, count_loaded, team);
}

/* The part is a split that all processes load; of one of them. */
typedef struct AreaLoad
{
	VkSplitTeam *team;
	int			part;
	VkSplitKey	key;
	VkSplitEntry *as_entry;		/* the key, to compare others with */
	VkShareArea area;
	void	   *bulk;
	bool		exhausted;		/* no row is left to take */
	int			nfirst;			/* rows the load began with */
	VkSplitRow *first;
} AreaLoad;

static void
begin_area_load(AreaLoad *load, VkSplitTeam *team, int part)
{
	TeamShared *shared = team->shared;
	const KnownSplit *known = &team->known[part];

	memset(load, 0, sizeof(*load));
	load->team = team;
	load->part = part;
	load->key.hash = known->hash;
	load->key.size = known->key_size;
	load->key.tuple = (IndexTuple) known->key;
	load->as_entry = vk_split_key_entry(&load->key);
	load->area.memory = (char *) shared + shared->area_offset;
	load->area.size = shared->area_size;
	load->area.nprocesses = shared->nprocesses;
	/* the rest is for the first rows: see start_area() */
	load->area.process_memory = (Size) shared->memory_kb * 1024 / 4 * 3;
	load->area.rows = shared->parts[part].rows;
	sts_begin_parallel_scan(team->stores[part]);
}

/*
 * The next row that goes to the load.  Others are inserted at once: NULLs, and
 * those of another key with the same hash.
 */
static bool
next_area_row(AreaLoad *load, VkSplitRow *row)
{
	VkSplitTeam *team = load->team;

	while (!load->exhausted && next_row(team, load->part))
	{
		vk_split_row_read(team->slot, row);
		if (row->value != NULL && vk_key_equal(team->index, &row->key, load->as_entry))
			return true;
		vk_insert_row(team->index, &row->key, &row->tid, row->value);
		count_loaded(team);
	}
	load->exhausted = true;
	return false;
}

/*
 * Begins the load with the first rows this process takes, which it keeps.
 * False: there are none.
 */
static bool
start_area(AreaLoad *load)
{
	VkIndex    *index = load->team->index;
	int			wanted = index->store->share_sample(&index->info);
	Size		room = (Size) load->team->shared->memory_kb * 1024 / 4;
	struct varlena **sample = palloc(sizeof(struct varlena *) * wanted);

	load->first = palloc(sizeof(VkSplitRow) * wanted);
	for (Size bytes = 0; load->nfirst < wanted && bytes < room;)
	{
		VkSplitRow *row = &load->first[load->nfirst];

		if (!next_area_row(load, row))
			break;
		sample[load->nfirst++] = row->value;
		bytes += sizeof(VkSplitRow) + row->key.size + VARSIZE(row->value);
	}
	if (load->nfirst == 0)
		return false;
	index->store->share_begin(index, vk_split_reserve(index, &load->key), &load->area, sample,
							  load->nfirst);
	return true;
}

static void
add_area_row(AreaLoad *load, VkSplitRow *row)
{
	load->team->index->store->build_add(load->bulk, &row->tid, row->value);
	count_loaded(load->team);
}

/* Takes part in a load by all until no row is left to take. */
static void
load_in_area(VkSplitTeam *team, int part, bool start)
{
	VkIndex    *index = team->index;
	AreaLoad	load;
	VkSplitRow	row;

	begin_area_load(&load, team, part);
	if (start && !start_area(&load))
	{
		set_area(team->shared, AREA_FREE);
		return;
	}
	load.bulk = index->store->share_attach(index, load.area.memory, team->process);
	if (start)
		set_area(team->shared, AREA_OPEN);
	MemoryContextSwitchTo(team->row_context);
	for (int i = 0; i < load.nfirst; i++)
		add_area_row(&load, &load.first[i]);
	MemoryContextReset(team->row_context);
	while (next_area_row(&load, &row))
	{
		add_area_row(&load, &row);
		MemoryContextReset(team->row_context);
	}
	drain_area(team->shared);
	index->store->share_detach(load.bulk);
	MemoryContextReset(team->row_context);
	MemoryContextSwitchTo(team->job_context);
	if (!leave_area(team->shared))
		return;
	load.bulk = index->store->share_attach(index, load.area.memory, team->process);
	vk_split_set_head(index, &load.key, index->store->build_end(load.bulk));
	set_area(team->shared, AREA_FREE);
}

/* The next work; waits where there may be some later. */
static TeamWork
next_work(VkSplitTeam *team, int *part)
{
	TeamWork	work;

	ConditionVariablePrepareToSleep(&team->shared->changed);
	while ((work = take_work(team->shared, part)) == WORK_WAIT)
	{
		wait_for_change(team);
		report_loaded(team);
	}
	ConditionVariableCancelSleep();
	return work;
}

/*
 * All rows have been added: loads them, together with the others.  The leader
 * must wait for the others before it uses the index.
 */
void
vk_split_team_load(VkSplitTeam *team)
{
	TeamShared *shared = team->shared;
	TeamWork	work;
	int			part;

	end_scan(team);
	if (team->process == 0)
	{
		wait_until(team, nobody_scans);
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VK_PHASE_SPLITS);
		plan_jobs(team);
	}
	else
		wait_until(team, is_planned);
	while ((work = next_work(team, &part)) != WORK_NONE)
	{
		MemoryContext old = MemoryContextSwitchTo(team->job_context);

		if (work != WORK_ALONE)
			load_in_area(team, part, work == WORK_START);
		else
		{
			sts_begin_parallel_scan(team->stores[part]);
			if (part < shared->nknown)
				load_known(team, part);
			else
				load_range(team, part);
		}
		sts_end_parallel_scan(team->stores[part]);
		ExecClearTuple(team->slot);
		MemoryContextSwitchTo(old);
		MemoryContextReset(team->job_context);
	}
}
