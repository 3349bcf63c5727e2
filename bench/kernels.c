/*-------------------------------------------------------------------------
 *
 * kernels.c
 *	  'make bench-kernels': how fast the distance kernels read memory.
 *
 * One query is compared with all rows of an array much larger than the last
 * cache, the way an exact scan does, by every kernel this CPU has.  Between the
 * kernels, in the same round, several plain read loops measure what memory
 * gives to one core; the best of them is 100 %.  Each figure is the median over
 * the rounds, and each ratio compares medians of the same rounds, so that a
 * busy machine slows both sides.
 *
 * Output: a table in Markdown, or CSV with -c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "distance/kernel.h"

#define DEFAULT_MEGABYTES	256
#define DEFAULT_ROUNDS		9
#define MAX_ROUNDS			101
#define MAX_CASES			1000

typedef struct BenchCase
{
	const VkKernels *kernels;	/* NULL: a plain read loop */
	const char *name;
	const char *elem;
	int			dim;
	double		(*run) (const struct BenchCase *bench);
	uint64		(*read) (const char *data, size_t size);
	double		gigabytes_per_s[MAX_ROUNDS];
} BenchCase;

static char *data;
static size_t data_size = (size_t) DEFAULT_MEGABYTES << 20;
static char *query;
static BenchCase cases[MAX_CASES];
static int	num_cases = 0;
static volatile double sink;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

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
	sink += bench->read(data, data_size);
	return data_size;
}

/* A scan of all rows with one function of the float or half kernels. */
#define SCAN(name, elem, elem_size, call) \
static double \
name(const BenchCase *bench) \
{ \
	const VkDenseKernels *dense = &bench->kernels->dense[elem]; \
	size_t		row_size = (size_t) bench->dim * (elem_size); \
	size_t		rows = data_size / row_size; \
	double		sum = 0; \
\
	for (size_t row = 0; row < rows; row++) \
	{ \
		const char *vec = data + row * row_size; \
\
		call; \
	} \
	sink += sum; \
	return (double) rows * row_size; \
}

#define SCAN_COSINE \
	VkCosineParts parts; \
	dense->cosine(query, vec, bench->dim, &parts); \
	sum += parts.ip + parts.norm_b

SCAN(scan_float4_l2, VK_ELEM_FLOAT4, 4, sum += dense->l2_squared(query, vec, bench->dim))
SCAN(scan_float4_ip, VK_ELEM_FLOAT4, 4, sum += dense->inner_product(query, vec, bench->dim))
SCAN(scan_float4_l1, VK_ELEM_FLOAT4, 4, sum += dense->l1(query, vec, bench->dim))
SCAN(scan_float4_cosine, VK_ELEM_FLOAT4, 4, SCAN_COSINE)
SCAN(scan_float2_l2, VK_ELEM_FLOAT2, 2, sum += dense->l2_squared(query, vec, bench->dim))
SCAN(scan_float2_ip, VK_ELEM_FLOAT2, 2, sum += dense->inner_product(query, vec, bench->dim))
SCAN(scan_float2_l1, VK_ELEM_FLOAT2, 2, sum += dense->l1(query, vec, bench->dim))
SCAN(scan_float2_cosine, VK_ELEM_FLOAT2, 2, SCAN_COSINE)

#define SCAN_INT8(name, call) \
static double \
name(const BenchCase *bench) \
{ \
	const VkInt8Kernels *int8s = &bench->kernels->int8; \
	size_t		rows = data_size / bench->dim; \
	double		sum = 0; \
\
	for (size_t row = 0; row < rows; row++) \
	{ \
		const void *vec = data + row * bench->dim; \
\
		sum += int8s->call(vec, (const void *) query, bench->dim); \
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
add_cases(void)
{
	static const int dims[] = {32, 128, 300, 768, 1536};

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
	for (int choice = VK_NUM_KERNEL_CHOICES - 1; choice >= VK_KERNEL_PORTABLE; choice--)
	{
		const VkKernels *kernels = vk_kernels_get(choice);

		for (int scan = 0; kernels && scan < (int) lengthof(scans); scan++)
		{
			for (int i = 0; i < (int) lengthof(dims); i++)
				add_case((BenchCase) {.kernels = kernels, .name = scans[scan].name,
									  .elem = scans[scan].elem, .dim = dims[i], .run = scans[scan].run});
		}
	}
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(BenchCase *bench, int rounds)
{
	qsort(bench->gigabytes_per_s, rounds, sizeof(double), compare_doubles);
	return bench->gigabytes_per_s[rounds / 2];
}

static void
print_results(int rounds, bool csv)
{
	double		bandwidth = 0;

	for (int i = 0; i < num_cases; i++)
	{
		if (cases[i].kernels == NULL)
			bandwidth = Max(bandwidth, median(&cases[i], rounds));
	}
	printf(csv ? "kernel,element,sum,dim,gb_per_s,share\n" :
		   "| kernel | element | sum | dim | GB/s | of memory |\n|---|---|---|---:|---:|---:|\n");
	for (int i = 0; i < num_cases; i++)
	{
		double		speed = median(&cases[i], rounds);

		printf(csv ? "%s,%s,%s,%d,%.2f,%.3f\n" : "| %s | %s | %s | %d | %.1f | %.0f %% |\n",
			   cases[i].kernels ? cases[i].kernels->name : "-", cases[i].elem, cases[i].name,
			   cases[i].dim, speed, speed / bandwidth * (csv ? 1 : 100));
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
	int			option;

	while ((option = getopt(argc, argv, "cm:r:")) != -1)
	{
		if (option == 'c')
			csv = true;
		else if (option == 'm' && atoi(optarg) > 0)
			data_size = (size_t) atoi(optarg) << 20;
		else if (option == 'r' && atoi(optarg) > 0 && atoi(optarg) <= MAX_ROUNDS)
			rounds = atoi(optarg);
		else
		{
			fprintf(stderr, "usage: %s [-c] [-m megabytes] [-r rounds]\n", argv[0]);
			return 1;
		}
	}

	data = mmap(NULL, data_size + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	query = malloc(65536);
	if (data == MAP_FAILED || query == NULL)
	{
		perror("memory");
		return 1;
	}
	fill(data, data_size);
	fill(query, 65536);
	add_cases();
	for (int round = -1; round < rounds; round++)
	{
		for (int i = 0; i < num_cases; i++)
		{
			double		start = now();
			double		bytes = cases[i].run(&cases[i]);

			/* The first round warms up. */
			cases[i].gigabytes_per_s[Max(round, 0)] = bytes / (now() - start) * 1e-9;
		}
	}
	print_results(rounds, csv);
	return 0;
}
