#!/usr/bin/python3
"""The library Faiss under the same measurements as the server; see peer_hnswlib.cpp for the arguments.

    peer_faiss.py build METRIC BASE.npy INDEX M EF_CONSTRUCTION      (M = 0: flat)
    peer_faiss.py query METRIC QUERY.npy INDEX K EF RESULTS
    peer_faiss.py batch METRIC QUERY.npy INDEX K 0 RESULTS           (all queries in one call)
"""
import json
import os
import sys
import time

os.environ['OMP_NUM_THREADS'] = os.environ['OPENBLAS_NUM_THREADS'] = '1'
import faiss  # noqa: E402
import numpy as np  # noqa: E402


def read(path, metric):
    matrix = np.ascontiguousarray(np.load(path), np.float32)
    if metric == 'cosine':
        faiss.normalize_L2(matrix)
    return matrix


def build(metric, base_path, index_path, m, ef_construction):
    base = read(base_path, metric)
    kind = faiss.METRIC_L2 if metric == 'l2' else faiss.METRIC_INNER_PRODUCT
    if int(m) == 0:
        index = faiss.IndexFlat(base.shape[1], kind)
    else:
        index = faiss.IndexHNSWFlat(base.shape[1], int(m), kind)
        index.hnsw.efConstruction = int(ef_construction)
    start, cpu = time.monotonic(), time.process_time()
    index.add(base)
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    faiss.write_index(index, index_path)
    print(json.dumps({'build_s': round(seconds, 3), 'build_cpu_s': round(cpu, 3),
                      'index_mb': round(os.path.getsize(index_path) / 1e6, 3)}))


def query(metric, query_path, index_path, k, ef, results_path):
    queries = read(query_path, metric)
    index = faiss.read_index(index_path)
    if int(ef):
        index.hnsw.efSearch = int(ef)
    for i in range(len(queries)):
        index.search(queries[i:i + 1], int(k))
    ids = np.full((len(queries), int(k)), -1, np.int64)
    latency = np.empty(len(queries))
    cpu = time.process_time()
    for i in range(len(queries)):
        start = time.perf_counter()
        ids[i] = index.search(queries[i:i + 1], int(k))[1][0]
        latency[i] = time.perf_counter() - start
    cpu = time.process_time() - cpu
    ids.tofile(results_path)
    p50, p95, p99 = np.percentile(latency, [50, 95, 99]) * 1e6
    print(json.dumps({'queries': len(queries), 'qps': round(len(queries) / latency.sum(), 1),
                      'mean_us': round(latency.mean() * 1e6, 2), 'p50_us': round(p50, 2), 'p95_us': round(p95, 2),
                      'p99_us': round(p99, 2), 'max_us': round(latency.max() * 1e6, 2),
                      'server_cpu_us': round(cpu / len(queries) * 1e6, 2)}))


def batch(metric, query_path, index_path, k, _, results_path):
    queries = read(query_path, metric)
    index = faiss.read_index(index_path)
    index.search(queries[:20], int(k))
    start, cpu = time.monotonic(), time.process_time()
    ids = index.search(queries, int(k))[1]
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    ids.astype(np.int64).tofile(results_path)
    print(json.dumps({'queries': len(queries), 'seconds': round(seconds, 3), 'cpu_s': round(cpu, 3)}))


if __name__ == '__main__':
    {'build': build, 'query': query, 'batch': batch}[sys.argv[1]](*sys.argv[2:])
