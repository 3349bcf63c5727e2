#!/usr/bin/python3
"""Each file format is read as it was written, and a broken file is a clear error."""
import gzip
import os
import struct
import tempfile
import unittest

import h5py
import numpy as np
import scipy.sparse

import datasets

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3) * 7 - 3
BYTES = np.arange(12, dtype=np.uint8).reshape(4, 3) * 20


def vecs(matrix):
    return b''.join(struct.pack('<i', len(row)) + row.tobytes() for row in matrix)


def as_bin(matrix):
    return struct.pack('<ii', *matrix.shape) + matrix.tobytes()


def as_csr(matrix):
    return (struct.pack('<qqq', *matrix.shape, matrix.nnz) + matrix.indptr.astype('<i8').tobytes() +
            matrix.indices.astype('<i4').tobytes() + matrix.data.astype('<f4').tobytes())


SPARSE = scipy.sparse.csr_matrix(np.array([[0, 1.5, 0], [0, 0, 0], [2, 0, -3]], np.float32))


class Formats(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def path(self, name, content):
        path = os.path.join(self.directory.name, name)
        with (gzip.open if name.endswith('.gz') else open)(path, 'wb') as file:
            file.write(content)
        return path

    def test_dense(self):
        for name, content, matrix in (('a.fvecs', vecs(ROWS), ROWS), ('a.bvecs', vecs(BYTES), BYTES),
                                      ('a.fbin', as_bin(ROWS), ROWS), ('a.u8bin', as_bin(BYTES), BYTES),
                                      ('a.i8bin', as_bin(ROWS.astype(np.int8)), ROWS.astype(np.int8)),
                                      ('a.u8', BYTES.tobytes(), BYTES)):
            for ending in ('', '.gz'):
                with self.subTest(name + ending):
                    np.testing.assert_array_equal(datasets.read_matrix(self.path(name + ending, content), 3), matrix)

    def test_npy(self):
        path = self.path('a.npy', b'')
        np.save(path, ROWS)
        np.testing.assert_array_equal(datasets.read_matrix(path), ROWS)
        with open(path, 'rb') as file:
            content = file.read()
        np.testing.assert_array_equal(datasets.read_matrix(self.path('b.npy.gz', content)), ROWS)

    def test_csr(self):
        read = datasets.read_matrix(self.path('a.csr.gz', as_csr(SPARSE)))
        np.testing.assert_array_equal(read.toarray(), SPARSE.toarray())

    def test_hdf5(self):
        path = os.path.join(self.directory.name, 'a.hdf5')
        for distance, metric in (('euclidean', 'l2'), ('angular', 'cosine'), ('dot', 'ip')):
            with h5py.File(path, 'w') as file:
                file['train'], file['test'], file.attrs['distance'] = ROWS, ROWS[:2], distance
            base, queries, found = datasets.read_hdf5(path)
            np.testing.assert_array_equal(base, ROWS)
            np.testing.assert_array_equal(queries, ROWS[:2])
            self.assertEqual(found, metric)

    def test_broken(self):
        for name, content in (('a.fvecs', b''), ('a.fvecs', vecs(ROWS)[:-1]), ('a.bvecs', vecs(BYTES)[:-1]),
                              ('a.fvecs', vecs(ROWS[:, :1])[:-8] + struct.pack('<if', 9, 1)),
                              ('a.fbin', b'\1'), ('a.fbin', as_bin(ROWS)[:-4]), ('a.fbin', struct.pack('<ii', 4, -3)),
                              ('a.csr', as_csr(SPARSE)[:-1]), ('a.csr', b''),
                              ('a.csr', as_csr(SPARSE)[:24] + struct.pack('<q', 9) + as_csr(SPARSE)[32:]),
                              ('a.csr', as_csr(SPARSE)[:56] + struct.pack('<i', 3) + as_csr(SPARSE)[60:]),
                              ('a.npy', b'no matrix'), ('a.u8', b'\1\2'), ('a.txt', b'1 2 3')):
            with self.subTest(f'{name} {content!r}'), self.assertRaises(datasets.DataError):
                datasets.read_matrix(self.path(name, content), 3)
        with self.assertRaises(datasets.DataError):
            datasets.read_hdf5(self.path('a.hdf5', b'not HDF5'))

    def test_truth(self):
        directory = os.path.join(self.directory.name, 'set')
        os.makedirs(directory)
        datasets.write_dataset(directory, ROWS, ROWS[1:2], 'l2', 2, 'test')
        truth = datasets.Dataset(directory).truth_ids
        self.assertEqual(truth[0, 0], 1)
        self.assertIn(truth[0, 1], (0, 2))


if __name__ == '__main__':
    unittest.main()
