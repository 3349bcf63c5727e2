#!/usr/bin/python3
"""Data sets for the benchmarks: reads files, generates vectors, computes the exact answers.

    bench/datasets.py DIR --base FILE --query FILE --metric l2 [--dim N]
    bench/datasets.py DIR --hdf5 FILE                 (ann-benchmarks: base, queries, metric)
    bench/datasets.py DIR --generate gaussian --rows 100000 --dim 128 --intrinsic 16
    bench/datasets.py DIR --generate zipf --rows 100000 --dim 100000 --nnz 80

DIR receives base.npy, query.npy (dense) or base.npz, query.npz (sparse, scipy CSR), truth.npz (the
--truth nearest of each query and their distances, in double precision) and meta.json.
Files by ending: .npy .fvecs .bvecs .fbin .u8bin .i8bin .u8 (raw, needs --dim) .csr, each also with .gz.
"""
import argparse
import gzip
import io
import json
import os
import sys

import numpy as np

TRUTH_BLOCK = 32
METRICS = ('l2', 'ip', 'cosine', 'l1', 'jaccard')


class DataError(Exception):
    """What is wrong with a file or an option, for the user."""


def load_scipy():
    try:
        import scipy.sparse
    except ImportError:
        raise DataError('sparse data needs scipy: apt install python3-scipy') from None
    return scipy.sparse


# ---- files

def read_all(path):
    with (gzip.open if path.endswith('.gz') else open)(path, 'rb') as file:
        return file.read()


def read_vecs(content, dtype, path):
    """fvecs, bvecs: each row is its int32 dimension and its elements."""
    if len(content) < 4:
        raise DataError(f'{path} is empty')
    dim = int(np.frombuffer(content, '<i4', 1)[0])
    size = 4 + dim * np.dtype(dtype).itemsize
    if dim <= 0 or len(content) % size:
        raise DataError(f'{path}: {len(content)} bytes are not rows of {dim} elements')
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    other = np.flatnonzero(rows[:, :4].copy().view('<i4')[:, 0] != dim)
    if len(other):
        raise DataError(f'{path}: row {other[0]} does not have {dim} elements as the first has')
    return rows[:, 4:].copy().view(dtype).astype(np.float32)


def header(content, dtype, count, path):
    if len(content) < count * np.dtype(dtype).itemsize:
        raise DataError(f'{path}: {len(content)} bytes are less than the header')
    return [int(x) for x in np.frombuffer(content, dtype, count)]


def read_bin(content, dtype, path):
    """fbin, u8bin, i8bin: int32 rows, int32 dimension, elements."""
    rows, dim = header(content, '<i4', 2, path)
    if dim <= 0 or len(content) != 8 + rows * dim * np.dtype(dtype).itemsize:
        raise DataError(f'{path}: {len(content)} bytes are not {rows} rows of {dim} elements')
    return np.frombuffer(content, dtype, offset=8).reshape(rows, dim).astype(np.float32)


def read_csr(content, path):
    """int64 rows, columns, nnz; int64 indptr[rows + 1]; int32 indices[nnz]; float32 values[nnz]."""
    sparse = load_scipy()
    rows, columns, nnz = header(content, '<i8', 3, path)
    if rows < 0 or nnz < 0 or len(content) != 24 + 8 * (rows + 1) + 8 * nnz:
        raise DataError(f'{path}: {len(content)} bytes are not a CSR of {rows} rows, {nnz} values')
    indptr = np.frombuffer(content, '<i8', rows + 1, 24)
    at = 24 + 8 * (rows + 1)
    indices = np.frombuffer(content, '<i4', nnz, at)
    values = np.frombuffer(content, '<f4', nnz, at + 4 * nnz)
    if indptr[0] != 0 or indptr[-1] != nnz or (np.diff(indptr) < 0).any():
        raise DataError(f'{path}: the row pointers do not rise from 0 to {nnz}')
    if nnz and not 0 <= indices.min() <= indices.max() < columns:
        raise DataError(f'{path}: a column is not in 0..{columns - 1}')
    matrix = sparse.csr_matrix((values.copy(), indices.copy(), indptr.copy()), shape=(rows, columns))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def read_npy(content, path):
    try:
        matrix = np.load(io.BytesIO(content), allow_pickle=False)
    except ValueError as error:
        raise DataError(f'{path}: {error}') from None
    if matrix.ndim != 2:
        raise DataError(f'{path} has {matrix.ndim} dimensions, a matrix has two')
    return matrix.astype(np.float32)


def read_raw(content, dim, path):
    if not dim:
        raise DataError(f'{path} has raw bytes: give --dim')
    if len(content) % dim:
        raise DataError(f'{path}: {len(content)} bytes are not rows of {dim}')
    return np.frombuffer(content, np.uint8).reshape(-1, dim).astype(np.float32)


def read_matrix(path, dim=None):
    ending = (path[:-3] if path.endswith('.gz') else path).rsplit('.', 1)[-1]
    content = read_all(path)
    readers = {
        'fvecs': lambda: read_vecs(content, '<f4', path),
        'bvecs': lambda: read_vecs(content, np.uint8, path),
        'fbin': lambda: read_bin(content, '<f4', path),
        'u8bin': lambda: read_bin(content, np.uint8, path),
        'i8bin': lambda: read_bin(content, np.int8, path),
        'u8': lambda: read_raw(content, dim, path),
        'csr': lambda: read_csr(content, path),
        'npy': lambda: read_npy(content, path),
    }
    if ending not in readers:
        raise DataError(f'{path}: ending is none of ' + ', '.join(sorted(readers)))
    return readers[ending]()


def open_hdf5(h5py, path):
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise DataError(f'{path}: {error}') from None


def read_hdf5(path):
    """ann-benchmarks: train, test; the attribute distance is euclidean, angular or dot."""
    try:
        import h5py
    except ImportError:
        raise DataError('HDF5 files need h5py: apt install python3-h5py') from None
    with open_hdf5(h5py, path) as file:
        for name in ('train', 'test'):
            if name not in file:
                raise DataError(f'{path} has no data set "{name}"')
        names = {'euclidean': 'l2', 'angular': 'cosine', 'dot': 'ip'}
        distance = file.attrs.get('distance', 'euclidean')
        if distance not in names:
            raise DataError(f'{path}: unknown distance "{distance}"')
        return (np.asarray(file['train'], np.float32), np.asarray(file['test'], np.float32),
                names[distance])


# ---- generators

def generate_gaussian(rows, queries, dim, intrinsic, clusters, seed):
    """Gaussian clusters on a random linear subspace of intrinsic dimensions, with a little noise."""
    rng = np.random.default_rng(seed)
    if not 1 <= intrinsic <= dim:
        raise DataError(f'intrinsic dimension {intrinsic} is not in 1..{dim}')
    basis = np.linalg.qr(rng.standard_normal((dim, intrinsic)))[0].T.astype(np.float32)
    centers = rng.standard_normal((clusters, intrinsic)).astype(np.float32)
    count = rows + queries
    points = centers[rng.integers(0, clusters, count)]
    points = points + 0.5 * rng.standard_normal((count, intrinsic), dtype=np.float32)
    data = points @ basis + 0.01 * rng.standard_normal((count, dim), dtype=np.float32)
    return data[:rows], data[rows:]


def generate_zipf(rows, queries, dim, nnz, seed):
    """Texts of Zipf-distributed terms with TF-IDF weights, unit length."""
    sparse = load_scipy()
    rng = np.random.default_rng(seed)
    count = rows + queries
    lengths = np.maximum(1, rng.lognormal(np.log(nnz), 0.7, count)).astype(np.int64)
    probability = 1.0 / (np.arange(dim) + 2.7) ** 1.05
    terms = rng.choice(dim, size=int(lengths.sum()), p=probability / probability.sum())
    docs = np.repeat(np.arange(count), lengths)
    matrix = sparse.coo_matrix((np.ones(len(terms), np.float32), (docs, terms)),
                               shape=(count, dim)).tocsr()
    matrix.sum_duplicates()
    frequency = np.bincount(matrix.indices, minlength=dim)
    matrix.data = (1 + np.log(matrix.data)) * np.log((1 + count) / (1 + frequency))[matrix.indices]
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1))).ravel()
    matrix = sparse.diags(1 / np.maximum(norms, 1e-12)) @ matrix
    matrix = matrix.astype(np.float32).tocsr()
    matrix.sort_indices()
    # The most frequent terms are the first columns only here; spread them.
    permutation = rng.permutation(dim)
    matrix = sparse.csr_matrix((matrix.data, permutation[matrix.indices].astype(np.int32), matrix.indptr),
                               shape=matrix.shape)
    matrix.sort_indices()
    return matrix[:rows], matrix[rows:]


# ---- exact answers

def row_norms_squared(matrix):
    if is_sparse(matrix):
        return np.asarray(matrix.astype(np.float64).multiply(matrix).sum(axis=1)).ravel()
    return np.einsum('ij,ij->i', matrix, matrix, dtype=np.float64)


def is_sparse(matrix):
    return not isinstance(matrix, np.ndarray)


def distances(metric, base, query, base_norms=None, product=None):
    """Distances of one query (one row) to all rows of base, in double precision; as the operators give them.

    base_norms (squared) and product (inner products with the query) are computed when not given.
    """
    if metric == 'l1':
        if is_sparse(base):
            return np.array([abs(row - query).sum() for row in base], np.float64)
        return np.abs(base - query.astype(np.float64)).sum(axis=1)
    if metric == 'jaccard':
        marks = (base != 0).astype(np.float64)
        wanted = (query != 0).astype(np.float64)
        common = np.asarray((marks @ wanted.T).todense()).ravel()
        together = np.diff(base.indptr) + query.nnz - common
        return np.where(together == 0, 0.0, 1 - common / np.maximum(together, 1))
    if is_sparse(base):
        product = np.asarray((base.astype(np.float64) @ query.astype(np.float64).T).todense()).ravel()
        norm = float(query.astype(np.float64).multiply(query).sum())
    else:
        if product is None:
            product = base @ query.astype(np.float64)
        norm = float(np.dot(query.astype(np.float64), query))
    if metric == 'ip':
        return -product
    if base_norms is None:
        base_norms = row_norms_squared(base)
    if metric == 'l2':
        return np.sqrt(np.maximum(base_norms + norm - 2 * product, 0))
    scale = np.sqrt(base_norms * norm)
    return np.where(scale > 0, 1 - np.clip(product / np.maximum(scale, 1e-300), -1, 1), 1.0)


def ground_truth(metric, base, queries, k):
    """ids and distances of the k nearest rows of each query, ties by id."""
    k = min(k, base.shape[0])
    count = queries.shape[0]
    ids = np.empty((count, k), np.int64)
    best = np.empty((count, k), np.float64)
    norms = row_norms_squared(base)
    wide = base
    if not is_sparse(base) and base.nbytes < 2 << 30:
        wide = base.astype(np.float64)
    products = np.empty((0, 0))
    for i in range(count):
        product = None
        if not is_sparse(base) and metric != 'l1':
            # One matrix product for a block of queries.
            if i % TRUTH_BLOCK == 0:
                products = wide @ queries[i:i + TRUTH_BLOCK].astype(np.float64).T
            product = products[:, i % TRUTH_BLOCK]
        dist = distances(metric, wide, queries[i], norms, product)
        near = np.argpartition(dist, k - 1)[:k] if k < len(dist) else np.arange(len(dist))
        order = np.lexsort((near, dist[near]))
        ids[i] = near[order]
        best[i] = dist[ids[i]]
    return ids, best


# ---- a prepared directory

class Dataset:
    """base, queries: numpy arrays or CSR matrices; truth_ids, truth_distances; meta."""

    def __init__(self, directory):
        self.directory = directory
        try:
            with open(os.path.join(directory, 'meta.json')) as file:
                self.meta = json.load(file)
        except FileNotFoundError:
            raise DataError(f'{directory} has no prepared data set: run bench/datasets.py') from None
        self.metric = self.meta['metric']
        self.sparse = self.meta['sparse']
        self.dim = self.meta['dim']
        self.rows = self.meta['rows']
        self.base = self.read('base')
        self.queries = self.read('query')
        truth = np.load(os.path.join(directory, 'truth.npz'))
        self.truth_ids = truth['ids']
        self.truth_distances = truth['distances']
        self._norms = None

    def read(self, name):
        path = os.path.join(self.directory, name)
        if self.sparse:
            return load_scipy().load_npz(path + '.npz')
        return np.load(path + '.npy', mmap_mode='r')

    def exact_distances(self, i, ids):
        """Distances of query i to some rows."""
        return distances(self.metric, self.base[ids], self.queries[i])

    def recall(self, answers, k):
        """Mean share of the answers that are as near as the k-th nearest row; ties count."""
        k = min(k, self.truth_ids.shape[1])
        found = 0
        for i, answer in enumerate(answers):
            answer = np.unique(answer[answer >= 0])
            if len(answer) == 0:
                continue
            limit = self.truth_distances[i, k - 1]
            near = self.exact_distances(i, answer) <= limit + 1e-6 * abs(limit) + 1e-12
            found += min(k, int(near.sum()))
        return found / (k * len(answers))


def write_dataset(directory, base, queries, metric, k, origin):
    os.makedirs(directory, exist_ok=True)
    sparse = is_sparse(base)
    if metric == 'jaccard' and not sparse:
        raise DataError('jaccard is for sparse data')
    if base.shape[1] != queries.shape[1]:
        raise DataError(f'base has {base.shape[1]} dimensions, queries have {queries.shape[1]}')
    for name, matrix in (('base', base), ('query', queries)):
        path = os.path.join(directory, name)
        if sparse:
            load_scipy().save_npz(path + '.npz', matrix, compressed=False)
        else:
            np.save(path + '.npy', np.ascontiguousarray(matrix, np.float32))
    ids, best = ground_truth(metric, base, queries, k)
    np.savez(os.path.join(directory, 'truth.npz'), ids=ids, distances=best)
    meta = {'metric': metric, 'sparse': sparse, 'rows': base.shape[0], 'dim': base.shape[1],
            'queries': queries.shape[0], 'truth': ids.shape[1], 'origin': origin}
    if sparse:
        meta['nnz_mean'] = round(base.nnz / base.shape[0], 1)
    with open(os.path.join(directory, 'meta.json'), 'w') as file:
        json.dump(meta, file, indent=1)
    return meta


def prepare(args):
    if args.hdf5:
        base, queries, metric = read_hdf5(args.hdf5)
        origin = os.path.basename(args.hdf5)
    elif args.generate == 'gaussian':
        base, queries = generate_gaussian(args.rows, args.queries, args.dim or 128, args.intrinsic,
                                          args.clusters, args.seed)
        metric = 'l2'
        origin = f'gaussian, {args.intrinsic} intrinsic dimensions, {args.clusters} clusters, seed {args.seed}'
    elif args.generate == 'zipf':
        base, queries = generate_zipf(args.rows, args.queries, args.dim or 100000, args.nnz, args.seed)
        metric = 'cosine'
        origin = f'zipf text, about {args.nnz} terms, seed {args.seed}'
    elif args.base and args.query:
        base, queries = read_matrix(args.base, args.dim), read_matrix(args.query, args.dim)
        metric = 'l2'
        origin = os.path.basename(args.base)
    else:
        raise DataError('give --base and --query, or --hdf5, or --generate')
    metric = args.metric or metric
    queries = queries[:args.queries]
    if args.rows_limit:
        base = base[:args.rows_limit]
    return write_dataset(args.directory, base, queries, metric, args.truth, origin)


def parser():
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('directory')
    result.add_argument('--base')
    result.add_argument('--query')
    result.add_argument('--hdf5')
    result.add_argument('--generate', choices=('gaussian', 'zipf'))
    result.add_argument('--metric', choices=METRICS)
    result.add_argument('--rows', type=int, default=100000, help='generated rows')
    result.add_argument('--rows-limit', type=int, help='use only the first rows of a file')
    result.add_argument('--queries', type=int, default=1000)
    result.add_argument('--dim', type=int)
    result.add_argument('--intrinsic', type=int, default=16)
    result.add_argument('--clusters', type=int, default=1000)
    result.add_argument('--nnz', type=int, default=80)
    result.add_argument('--seed', type=int, default=1)
    result.add_argument('--truth', type=int, default=100, help='nearest neighbours kept per query')
    return result


def main():
    print(json.dumps(prepare(parser().parse_args())))


if __name__ == '__main__':
    try:
        main()
    except (DataError, OSError) as error:
        sys.exit(f'error: {error}')
