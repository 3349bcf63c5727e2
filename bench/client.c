/*-------------------------------------------------------------------------
 *
 * client.c
 *	  Runs one prepared kNN query for many parameters and measures it.
 *
 *	client -q QUERIES -o RESULTS [-k K] [-n PASSES] [-w WARMUP] [-s SQL]... -t TYPES SQL
 *
 * One connection (libpq environment variables), one prepared statement, binary
 * parameters and results.  QUERIES holds for each query one int32 length and
 * the bytes of each parameter, in the binary format of its type; TYPES names
 * the types of the parameters, separated by commas.  The first column of the
 * result is an int4 or int8 identity; RESULTS receives K int64 for each query,
 * -1 where the answer was shorter.  Each -s SQL runs first.
 *
 * Prints one JSON object: latency percentiles, queries per second, the CPU time
 * of the backend per query, from /proc/PID/schedstat, and the mean of the WARMUP
 * queries at the start of the connection, in microseconds.
 *
 *-------------------------------------------------------------------------
 */
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define MAX_PARAMS	8

static PGconn *conn;
static int	num_params = 0;
static Oid	param_types[MAX_PARAMS];
static int	k = 10;

typedef struct Query
{
	const char *values[MAX_PARAMS];
	int			lengths[MAX_PARAMS];
} Query;

static void
die(const char *what, const char *detail)
{
	fprintf(stderr, "client: %s: %s\n", what, detail);
	exit(1);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

/* Nanoseconds of CPU a process used so far; -1 if it is not on this machine. */
static double
cpu_nanoseconds(int pid)
{
	char		path[64];
	FILE	   *file;
	double		used = -1;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	if (file)
	{
		if (fscanf(file, "%lf", &used) != 1)
			used = -1;
		fclose(file);
	}
	return used;
}

static PGresult *
checked(PGresult *result, const char *sql)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		die(sql, PQerrorMessage(conn));
	return result;
}

static void
resolve_types(char *names)
{
	for (char *name = strtok(names, ","); name; name = strtok(NULL, ","))
	{
		const char *values[1] = {name};
		PGresult   *result;

		if (num_params == MAX_PARAMS)
			die(name, "too many parameters");
		result = checked(PQexecParams(conn, "SELECT $1::regtype::oid", 1, NULL, values,
									  NULL, NULL, 0), name);
		param_types[num_params++] = (Oid) strtoul(PQgetvalue(result, 0, 0), NULL, 10);
		PQclear(result);
	}
}

/* Reads the whole file; the queries point into it. */
static Query *
read_queries(const char *path, int *num_queries)
{
	FILE	   *file = fopen(path, "rb");
	Query	   *queries = NULL;
	int			capacity = 0;
	long		size;
	char	   *content;

	if (!file)
		die(path, "could not be opened");
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	content = malloc(size + 1);
	if (fread(content, 1, size, file) != (size_t) size)
		die(path, "could not be read");
	fclose(file);

	*num_queries = 0;
	for (char *at = content; at < content + size;)
	{
		if (*num_queries == capacity)
			queries = realloc(queries, sizeof(Query) * (capacity = capacity * 2 + 1000));
		for (int param = 0; param < num_params; param++)
		{
			int32_t		length;

			memcpy(&length, at, sizeof(length));
			if (length < 0 || length > content + size - at - (long) sizeof(length))
				die(path, "is cut off");
			queries[*num_queries].values[param] = at + sizeof(length);
			queries[*num_queries].lengths[param] = length;
			at += sizeof(length) + length;
		}
		(*num_queries)++;
	}
	if (*num_queries == 0)
		die(path, "has no queries");
	return queries;
}

/* Runs one query; ids receives k identities.  Returns the number of rows. */
static int
run_query(const Query *query, int64_t *ids)
{
	static const int binary[MAX_PARAMS] = {1, 1, 1, 1, 1, 1, 1, 1};
	PGresult   *result = checked(PQexecPrepared(conn, "knn", num_params, query->values,
												query->lengths, binary, 1), "query");
	int			rows = PQntuples(result);

	for (int row = 0; row < k; row++)
	{
		ids[row] = -1;
		if (row >= rows)
			continue;
		if (PQgetlength(result, row, 0) == 4)
		{
			uint32_t	id;

			memcpy(&id, PQgetvalue(result, row, 0), sizeof(id));
			ids[row] = (int32_t) be32toh(id);
		}
		else if (PQgetlength(result, row, 0) == 8)
		{
			uint64_t	id;

			memcpy(&id, PQgetvalue(result, row, 0), sizeof(id));
			ids[row] = (int64_t) be64toh(id);
		}
		else
			die("query", "the first column is neither int4 nor int8");
	}
	PQclear(result);
	return rows;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	const char *queries_path = NULL;
	const char *results_path = NULL;
	const char *setup[100];
	char	   *types = NULL;
	int			num_setup = 0;
	int			passes = 1;
	int			warmup = 0;
	int			num_queries;
	int			total;
	int			option;
	long		rows = 0;
	Query	   *queries;
	double	   *latency;
	int64_t    *ids;
	double		elapsed = 0;
	double		first;
	double		cpu;
	FILE	   *results;

	while ((option = getopt(argc, argv, "q:o:k:n:w:s:t:")) != -1)
	{
		switch (option)
		{
			case 'q':
				queries_path = optarg;
				break;
			case 'o':
				results_path = optarg;
				break;
			case 'k':
				k = atoi(optarg);
				break;
			case 'n':
				passes = atoi(optarg);
				break;
			case 'w':
				warmup = atoi(optarg);
				break;
			case 't':
				types = optarg;
				break;
			case 's':
				if (num_setup < 100)
					setup[num_setup++] = optarg;
				break;
			default:
				return 2;
		}
	}
	if (optind + 1 != argc || !queries_path || !results_path || !types || k < 1 || passes < 1)
		die("usage", "client -q QUERIES -o RESULTS -t TYPES [-k K] [-n PASSES] [-w WARMUP] [-s SQL]... SQL");

	conn = PQconnectdb("");
	if (PQstatus(conn) != CONNECTION_OK)
		die("connection", PQerrorMessage(conn));
	for (int i = 0; i < num_setup; i++)
		PQclear(checked(PQexec(conn, setup[i]), setup[i]));
	resolve_types(types);
	queries = read_queries(queries_path, &num_queries);
	PQclear(checked(PQprepare(conn, "knn", argv[optind], num_params, param_types), argv[optind]));

	ids = malloc(sizeof(int64_t) * k * num_queries);
	latency = malloc(sizeof(double) * num_queries * passes);
	first = now();
	for (int i = 0; i < warmup; i++)
		run_query(&queries[i % num_queries], ids);
	first = now() - first;

	total = 0;
	cpu = cpu_nanoseconds(PQbackendPID(conn));
	for (int pass = 0; pass < passes; pass++)
	{
		for (int i = 0; i < num_queries; i++)
		{
			double		start = now();

			rows += run_query(&queries[i], ids + (size_t) i * k);
			latency[total] = now() - start;
			elapsed += latency[total++];
		}
	}
	if (cpu >= 0)
		cpu = (cpu_nanoseconds(PQbackendPID(conn)) - cpu) / total / 1000;

	results = fopen(results_path, "wb");
	if (!results || fwrite(ids, sizeof(int64_t) * k, num_queries, results) != (size_t) num_queries ||
		fclose(results) != 0)
		die(results_path, "could not be written");
	qsort(latency, total, sizeof(double), compare_doubles);
	printf("{\"queries\": %d, \"rows\": %ld, \"qps\": %.1f, \"mean_us\": %.1f, \"p50_us\": %.1f, "
		   "\"p95_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"server_cpu_us\": ",
		   total, rows, total / elapsed, elapsed / total * 1e6, latency[total / 2] * 1e6,
		   latency[(long) total * 95 / 100] * 1e6, latency[(long) total * 99 / 100] * 1e6,
		   latency[total - 1] * 1e6);
	if (cpu >= 0)
		printf("%.2f", cpu);
	else
		printf("null");
	if (warmup > 0)
		printf(", \"warmup_us\": %.1f", first / warmup * 1e6);
	printf("}\n");
	PQfinish(conn);
	return 0;
}
