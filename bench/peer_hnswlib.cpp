/*
 * peer_hnswlib.cpp: the library hnswlib under the same measurements as the server.
 *
 *	peer_hnswlib build METRIC BASE.npy INDEX M EF_CONSTRUCTION
 *	peer_hnswlib query METRIC QUERY.npy INDEX K EF RESULTS [PASSES]
 *
 * METRIC is l2, ip or cosine (vectors are then normalised first).  One thread.
 * Prints one JSON object; RESULTS receives K int64 for each query.
 */
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>
#include <sys/resource.h>
#include <time.h>

#include <hnswlib/hnswlib.h>

struct Matrix
{
	size_t rows = 0;
	size_t dim = 0;
	std::vector<float> values;
};

[[noreturn]] static void die(const std::string &what)
{
	fprintf(stderr, "peer_hnswlib: %s\n", what.c_str());
	exit(1);
}

/* A float32 matrix in C order, as numpy.save writes it. */
static Matrix read_npy(const char *path)
{
	std::ifstream file(path, std::ios::binary);
	char head[10];

	if (!file.read(head, 10) || memcmp(head, "\x93NUMPY\x01", 7) != 0)
		die(std::string(path) + " is no .npy file of version 1");
	std::string dict(uint8_t(head[8]) | uint8_t(head[9]) << 8, ' ');
	file.read(&dict[0], dict.size());
	Matrix matrix;
	size_t shape = dict.find("'shape': (");
	if (dict.find("'<f4'") == std::string::npos || dict.find("'fortran_order': False") == std::string::npos ||
		shape == std::string::npos ||
		sscanf(dict.c_str() + shape, "'shape': (%zu, %zu)", &matrix.rows, &matrix.dim) != 2)
		die(std::string(path) + " is no float32 matrix");
	matrix.values.resize(matrix.rows * matrix.dim);
	if (!file.read((char *) matrix.values.data(), matrix.values.size() * sizeof(float)))
		die(std::string(path) + " is cut off");
	return matrix;
}

static void normalise(Matrix &matrix)
{
	for (size_t row = 0; row < matrix.rows; row++)
	{
		float *vec = &matrix.values[row * matrix.dim];
		double norm = 0;

		for (size_t i = 0; i < matrix.dim; i++)
			norm += double(vec[i]) * vec[i];
		norm = norm > 0 ? 1 / std::sqrt(norm) : 0;
		for (size_t i = 0; i < matrix.dim; i++)
			vec[i] *= norm;
	}
}

static double seconds(clockid_t clock)
{
	timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static std::unique_ptr<hnswlib::SpaceInterface<float>> make_space(const std::string &metric, size_t dim)
{
	if (metric == "l2")
		return std::make_unique<hnswlib::L2Space>(dim);
	if (metric == "ip" || metric == "cosine")
		return std::make_unique<hnswlib::InnerProductSpace>(dim);
	die("no metric " + metric);
}

static void build(char **argv)
{
	Matrix base = read_npy(argv[3]);
	std::string metric = argv[2];

	if (metric == "cosine")
		normalise(base);
	auto space = make_space(metric, base.dim);
	double start = seconds(CLOCK_MONOTONIC);
	double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	hnswlib::HierarchicalNSW<float> index(space.get(), base.rows, atoi(argv[5]), atoi(argv[6]));

	for (size_t row = 0; row < base.rows; row++)
		index.addPoint(&base.values[row * base.dim], row);
	start = seconds(CLOCK_MONOTONIC) - start;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	index.saveIndex(argv[4]);
	std::ifstream saved(argv[4], std::ios::binary | std::ios::ate);
	printf("{\"build_s\": %.3f, \"build_cpu_s\": %.3f, \"index_mb\": %.3f}\n", start, cpu, saved.tellg() / 1e6);
}

static void query(int argc, char **argv)
{
	Matrix queries = read_npy(argv[3]);
	std::string metric = argv[2];
	size_t k = atoi(argv[5]);
	int passes = argc > 8 ? atoi(argv[8]) : 1;

	if (metric == "cosine")
		normalise(queries);
	auto space = make_space(metric, queries.dim);
	hnswlib::HierarchicalNSW<float> index(space.get(), argv[4]);
	std::vector<int64_t> ids(queries.rows * k, -1);
	std::vector<double> latency;
	double cpu = 0;

	index.setEf(atoi(argv[6]));
	/* The first pass warms up. */
	for (int pass = -1; pass < passes; pass++)
	{
		double cpu_start = seconds(CLOCK_THREAD_CPUTIME_ID);

		for (size_t i = 0; i < queries.rows; i++)
		{
			double start = seconds(CLOCK_MONOTONIC);
			auto found = index.searchKnn(&queries.values[i * queries.dim], k);

			for (size_t at = found.size(); at > 0; at--, found.pop())
				ids[i * k + at - 1] = found.top().second;
			if (pass >= 0)
				latency.push_back(seconds(CLOCK_MONOTONIC) - start);
		}
		if (pass >= 0)
			cpu += seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_start;
	}
	std::ofstream(argv[7], std::ios::binary).write((const char *) ids.data(), ids.size() * sizeof(ids[0]));
	double total = 0;
	for (double each : latency)
		total += each;
	std::sort(latency.begin(), latency.end());
	auto at = [&](double share) { return latency[size_t(latency.size() * share)] * 1e6; };
	printf("{\"queries\": %zu, \"qps\": %.1f, \"mean_us\": %.2f, \"p50_us\": %.2f, \"p95_us\": %.2f, "
		   "\"p99_us\": %.2f, \"max_us\": %.2f, \"server_cpu_us\": %.2f}\n", latency.size(), latency.size() / total,
		   total / latency.size() * 1e6, at(0.5), at(0.95), at(0.99), latency.back() * 1e6,
		   cpu / latency.size() * 1e6);
}

int main(int argc, char **argv)
{
	if (argc == 7 && strcmp(argv[1], "build") == 0)
		build(argv);
	else if (argc >= 8 && strcmp(argv[1], "query") == 0)
		query(argc, argv);
	else
		die("usage: build METRIC BASE INDEX M EF_CONSTRUCTION | query METRIC QUERY INDEX K EF RESULTS [PASSES]");
	return 0;
}
