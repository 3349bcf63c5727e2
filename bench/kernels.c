/*-------------------------------------------------------------------------
 *
 * kernels.c
 *	  'make bench-kernels': how fast the distance kernels read memory.
 *
 * One query is compared with all rows of an array much larger than the last
 * cache, the way an exact scan does, by every kernel this CPU has.  Between the
 * kernels, in the same round, several plain read loops measure what memory
 * gives to one core; the best of them is 100 %.  Each figure is the best of all
 * rounds, in CPU time, for both sides: what else the machine does only ever
 * slows a round.  'plain' scans leave prefetching to the hardware, with a query as
 * misaligned as in a tuple; the others follow the advice at vk_prefetch().
 *
 * Output: a table in Markdown, CSV with -c, or only the GB/s of memory with -b.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "distance/kernel.h"

#define DEFAULT_MEGABYTES	256
#define DEFAULT_ROUNDS		40
#define PARTS				4
#define QUERY_SIZE			65536
#define MAX_ROUNDS			1000
#define MAX_CASES			1000

typedef struct BenchCase
{
	const VkKernels *kernels;	/* NULL: a plain read loop */
	const char *name;
	const char *elem;
	int			dim;
	double		(*run) (const struct BenchCase *bench);
	uint64		(*read) (const char *data, size_t size);
	bool		prefetch;
	const char *query;
	double		gigabytes_per_s;	/* best round */
} BenchCase;

static char *data;
static size_t data_size = (size_t) DEFAULT_MEGABYTES << 20;
static char *query;			/* aligned to VK_LINE */
static BenchCase cases[MAX_CASES];
static int	num_cases = 0;
static volatile double sink;

/* CPU time: what other processes take of this core does not count. */
static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

/* The part of the data a round reads: short, so that many rounds run undisturbed. */
static const char *part;
static size_t part_size;

/* Plain reads: as many independent loads as a cache line has, no arithmetic but XOR. */
typedef uint64 Line __attribute__((vector_size(64), aligned(64)));

#define READ_LOOP(name, attributes, streams, ahead) \
attributes static uint64 \
name(const char *from, size_t size) \
{ \
	size_t		part = size / (streams); \
	Line		sum[streams] = {{0}}; \
\
	for (size_t at = 0; at < part; at += 2 * sizeof(Line)) \
	{ \
		_Pragma("GCC unroll 8") \
		for (int s = 0; s < (streams); s++) \
		{ \
			const char *p = from + s * part + at; \
\
			if ((ahead) > 0) \
			{ \
				__builtin_prefetch(p + (ahead)); \
				__builtin_prefetch(p + (ahead) + sizeof(Line)); \
			} \
			sum[s] ^= ((const Line *) p)[0] ^ ((const Line *) p)[1]; \
		} \
	} \
	for (int s = 1; s < (streams); s++) \
		sum[0] ^= sum[s]; \
	return sum[0][0] ^ sum[0][1] ^ sum[0][2] ^ sum[0][3] ^ \
		sum[0][4] ^ sum[0][5] ^ sum[0][6] ^ sum[0][7]; \
}

READ_LOOP(read_plain,, 1, 0)
READ_LOOP(read_prefetch,, 1, 2048)
READ_LOOP(read_4_streams,, 4, 0)
#ifdef __x86_64__
READ_LOOP(read_plain_avx512, __attribute__((target("avx512f"))), 1, 0)
READ_LOOP(read_prefetch_avx512, __attribute__((target("avx512f"))), 1, 2048)
READ_LOOP(read_4_streams_avx512, __attribute__((target("avx512f"))), 4, 0)
READ_LOOP(read_plain_avx2, __attribute__((target("avx2"))), 1, 0)
READ_LOOP(read_4_streams_avx2, __attribute__((target("avx2"))), 4, 0)
#endif

static double
run_read(const BenchCase *bench)
{
	sink += bench->read(part, part_size);
	return part_size;
}

/* A scan of all rows with one function of the float or half kernels. */
#define SCAN(name, elem, elem_size, call) \
static double \
name(const BenchCase *bench) \
{ \
	const VkDenseKernels *dense = &bench->kernels->dense[elem]; \
	size_t		row_size = (size_t) bench->dim * (elem_size); \
	size_t		rows = part_size / row_size; \
	double		sum = 0; \
\
	for (size_t row = 0; row < rows; row++) \
	{ \
		const char *vec = part + row * row_size; \
\
		if (bench->prefetch) \
			vk_prefetch(vec + VK_PREFETCH_AHEAD, row_size); \
		call; \
	} \
	sink += sum; \
	return (double) rows * row_size; \
}

#define SCAN_COSINE \
	do { \
		VkCosineParts parts; \
\
		dense->cosine(bench->query, vec, bench->dim, &parts); \
		sum += parts.ip + parts.norm_b; \
	} while (0)

SCAN(scan_float4_l2, VK_ELEM_FLOAT4, 4, sum += dense->l2_squared(bench->query, vec, bench->dim))
SCAN(scan_float4_ip, VK_ELEM_FLOAT4, 4, sum += dense->inner_product(bench->query, vec, bench->dim))
SCAN(scan_float4_l1, VK_ELEM_FLOAT4, 4, sum += dense->l1(bench->query, vec, bench->dim))
SCAN(scan_float4_cosine, VK_ELEM_FLOAT4, 4, SCAN_COSINE)
SCAN(scan_float2_l2, VK_ELEM_FLOAT2, 2, sum += dense->l2_squared(bench->query, vec, bench->dim))
SCAN(scan_float2_ip, VK_ELEM_FLOAT2, 2, sum += dense->inner_product(bench->query, vec, bench->dim))
SCAN(scan_float2_l1, VK_ELEM_FLOAT2, 2, sum += dense->l1(bench->query, vec, bench->dim))
SCAN(scan_float2_cosine, VK_ELEM_FLOAT2, 2, SCAN_COSINE)

#define SCAN_INT8(name, call) \
static double \
name(const BenchCase *bench) \
{ \
	const VkInt8Kernels *int8s = &bench->kernels->int8; \
	size_t		rows = part_size / bench->dim; \
	double		sum = 0; \
\
	for (size_t row = 0; row < rows; row++) \
	{ \
		const char *vec = part + row * bench->dim; \
\
		if (bench->prefetch) \
			vk_prefetch(vec + VK_PREFETCH_AHEAD, bench->dim); \
		sum += int8s->call((const void *) vec, (const void *) bench->query, bench->dim); \
	} \
	sink += sum; \
	return (double) rows * bench->dim; \
}

SCAN_INT8(scan_dot_i8, dot_i8)
SCAN_INT8(scan_dot_u8i8, dot_u8i8)
SCAN_INT8(scan_l1_u8, l1_u8)
SCAN_INT8(scan_l2_squared_u8, l2_squared_u8)

static const struct
{
	const char *elem;
	const char *name;
	double		(*run) (const BenchCase *bench);
}			scans[] = {
	{"float4", "l2", scan_float4_l2},
	{"float4", "ip", scan_float4_ip},
	{"float4", "cosine", scan_float4_cosine},
	{"float4", "l1", scan_float4_l1},
	{"float2", "l2", scan_float2_l2},
	{"float2", "ip", scan_float2_ip},
	{"float2", "cosine", scan_float2_cosine},
	{"float2", "l1", scan_float2_l1},
	{"int8", "dot_i8", scan_dot_i8},
	{"int8", "dot_u8i8", scan_dot_u8i8},
	{"int8", "l1_u8", scan_l1_u8},
	{"int8", "l2_squared_u8", scan_l2_squared_u8},
};

static void
add_case(BenchCase bench)
{
	Assert(num_cases < MAX_CASES);
	cases[num_cases++] = bench;
}

static void
add_read(const char *name, uint64 (*read) (const char *, size_t))
{
	add_case((BenchCase) {.name = name, .elem = "read", .run = run_read, .read = read});
}

static void
add_reads(void)
{
	add_read("plain", read_plain);
	add_read("prefetch", read_prefetch);
	add_read("4 streams", read_4_streams);
#ifdef __x86_64__
	if (vk_kernels_get(VK_KERNEL_AVX2) != NULL)
	{
		add_read("plain, avx2", read_plain_avx2);
		add_read("4 streams, avx2", read_4_streams_avx2);
	}
	if (vk_kernels_get(VK_KERNEL_AVX512) != NULL)
	{
		add_read("plain, avx512", read_plain_avx512);
		add_read("prefetch, avx512", read_prefetch_avx512);
		add_read("4 streams, avx512", read_4_streams_avx512);
	}
#endif
}

static void
add_kernels(void)
{
	static const int dims[] = {32, 128, 300, 768};

	for (int choice = VK_NUM_KERNEL_CHOICES - 1; choice >= VK_KERNEL_PORTABLE; choice--)
	{
		const VkKernels *kernels = vk_kernels_get(choice);

		for (int scan = 0; kernels && scan < (int) lengthof(scans); scan++)
		{
			for (int i = 0; i < (int) lengthof(dims); i++)
			{
				BenchCase	plain = {.kernels = kernels, .name = scans[scan].name,
					.elem = scans[scan].elem, .dim = dims[i], .run = scans[scan].run,
				.query = query + offsetof(VkVector, x)};
				BenchCase	prefetched = plain;

				prefetched.prefetch = true;
				prefetched.query = query;
				add_case(plain);
				add_case(prefetched);
			}
		}
	}
}

/* GB/s of the best plain read loop. */
static double
best_read(void)
{
	double		bandwidth = 0;

	for (int i = 0; i < num_cases; i++)
	{
		if (cases[i].kernels == NULL)
			bandwidth = Max(bandwidth, cases[i].gigabytes_per_s);
	}
	return bandwidth;
}

static void
print_results(bool csv)
{
	double		bandwidth = best_read();

	printf(csv ? "kernel,element,sum,dim,plain_gb_per_s,plain_share,gb_per_s,share\n" :
		   "| kernel | element | sum | dim | plain GB/s | of memory | GB/s | of memory |\n"
		   "|---|---|---|---:|---:|---:|---:|---:|\n");
	for (int i = 0; i < num_cases; i++)
	{
		const BenchCase *plain = &cases[i];
		const BenchCase *best = plain->kernels ? &cases[++i] : plain;
		double		percent = (csv ? 1 : 100) / bandwidth;

		printf(csv ? "%s,%s,%s,%d,%.2f,%.3f,%.2f,%.3f\n" :
			   "| %s | %s | %s | %d | %.1f | %.0f %% | %.1f | %.0f %% |\n",
			   plain->kernels ? plain->kernels->name : "-", plain->elem, plain->name, plain->dim,
			   plain->gigabytes_per_s, plain->gigabytes_per_s * percent,
			   best->gigabytes_per_s, best->gigabytes_per_s * percent);
	}
}

/* Halves of moderate size; as floats and bytes they are ordinary values too. */
static void
fill(char *array, size_t size)
{
	uint64		state = 1;

	for (size_t i = 0; i + 2 <= size; i += 2)
	{
		uint16		half;

		state = state * 6364136223846793005 + 1442695040888963407;
		half = (state >> 48 & 0x83ff) | 0x3800;
		memcpy(array + i, &half, sizeof(half));
	}
}

int
main(int argc, char **argv)
{
	int			rounds = DEFAULT_ROUNDS;
	bool		csv = false;
	bool		bandwidth_only = false;
	int			option;

	while ((option = getopt(argc, argv, "bcm:r:")) != -1)
	{
		if (option == 'b')
			bandwidth_only = true;
		else if (option == 'c')
			csv = true;
		else if (option == 'm' && atoi(optarg) > 0)
			data_size = (size_t) atoi(optarg) << 20;
		else if (option == 'r' && atoi(optarg) > 0 && atoi(optarg) <= MAX_ROUNDS)
			rounds = atoi(optarg);
		else
		{
			fprintf(stderr, "usage: %s [-b | -c] [-m megabytes] [-r rounds]\n", argv[0]);
			return 1;
		}
	}

	data = mmap(NULL, data_size + VK_PREFETCH_AHEAD + QUERY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	query = aligned_alloc(VK_LINE, 2 * QUERY_SIZE);
	if (data == MAP_FAILED || query == NULL)
	{
		perror("memory");
		return 1;
	}
	fill(data, data_size);
	fill(query, QUERY_SIZE);
	add_reads();
	if (!bandwidth_only)
		add_kernels();
	part_size = data_size / PARTS;
	for (int round = 0; round < rounds; round++)
	{
		for (int i = 0; i < num_cases; i++)
		{
			double		start;
			double		speed;

			/* No case finds what the one before left in the cache. */
			part = data + (round + i) % PARTS * part_size;
			start = now();
			speed = cases[i].run(&cases[i]) / (now() - start) * 1e-9;
			cases[i].gigabytes_per_s = Max(cases[i].gigabytes_per_s, speed);
		}
	}
	if (bandwidth_only)
		printf("%.2f\n", best_read());
	else
		print_results(csv);
	return 0;
}
