#!/usr/bin/python3
"""A client library from Debian's packages, psycopg 3, with loaders and dumpers
as client libraries of pgvector register them: vectors travel in binary and in
text, as parameters, results, arrays, and COPY in both formats.

Speaks TAP; finds its server in PGHOST, PGPORT and so on.
"""
import random
import struct

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

tests = 0


def ok(condition, name):
    global tests
    tests += 1
    print(f"{'ok' if condition else 'not ok'} {tests} - {name}", flush=True)


class Vector:
    """A dense vector: its elements, and how they are packed."""
    code = 'f'

    def __init__(self, elements):
        self.elements = list(elements)

    def __eq__(self, other):
        return type(self) is type(other) and self.to_binary() == other.to_binary()

    def to_text(self):
        return '[' + ','.join(str(x) for x in self.elements) + ']'

    @classmethod
    def from_text(cls, text):
        return cls(float(x) for x in text[1:-1].split(','))

    def to_binary(self):
        return struct.pack(f'>HH{len(self.elements)}{self.code}', len(self.elements), 0, *self.elements)

    @classmethod
    def from_binary(cls, data):
        dim, unused = struct.unpack_from('>HH', data)
        assert unused == 0
        return cls(struct.unpack_from(f'>{dim}{cls.code}', data, 4))


class HalfVector(Vector):
    code = 'e'


class SparseVector:
    """indices from 0, ascending; values; number of dimensions."""

    def __init__(self, dim, items):
        self.dim, self.items = dim, sorted(items.items())

    def __eq__(self, other):
        return type(self) is type(other) and self.to_binary() == other.to_binary()

    def to_text(self):
        return '{' + ','.join(f'{i + 1}:{x}' for i, x in self.items) + '}/' + str(self.dim)

    @classmethod
    def from_text(cls, text):
        items, dim = text.split('/')
        pairs = (item.split(':') for item in items[1:-1].split(',') if item)
        return cls(int(dim), {int(i) - 1: float(x) for i, x in pairs})

    def to_binary(self):
        count = len(self.items)
        return struct.pack(f'>iii{count}i{count}f', self.dim, count, 0,
                           *(i for i, _ in self.items), *(x for _, x in self.items))

    @classmethod
    def from_binary(cls, data):
        dim, count, unused = struct.unpack_from('>iii', data)
        assert unused == 0
        indices = struct.unpack_from(f'>{count}i', data, 12)
        return cls(dim, dict(zip(indices, struct.unpack_from(f'>{count}f', data, 12 + 4 * count))))


TYPES = {'vector': Vector, 'halfvec': HalfVector, 'sparsevec': SparseVector}


def register(conn, name, python_type):
    info = TypeInfo.fetch(conn, name)
    if info is None:
        raise psycopg.ProgrammingError(f'type {name} not found in the database')
    info.register(conn)

    def adapter(base, wire_format, **methods):
        return type(f'{python_type.__name__}{base.__name__}', (base,), {'format': wire_format, **methods})

    conn.adapters.register_dumper(python_type, adapter(
        Dumper, Format.TEXT, oid=info.oid, dump=lambda self, v: v.to_text().encode()))
    conn.adapters.register_dumper(python_type, adapter(
        Dumper, Format.BINARY, oid=info.oid, dump=lambda self, v: v.to_binary()))
    conn.adapters.register_loader(info.oid, adapter(
        Loader, Format.TEXT, load=lambda self, data: python_type.from_text(bytes(data).decode())))
    conn.adapters.register_loader(info.oid, adapter(
        Loader, Format.BINARY, load=lambda self, data: python_type.from_binary(bytes(data))))
    return info


def samples(name, count):
    """Values of all kinds, as they look after one trip through the type."""
    rng = random.Random(name)
    for n in range(count):
        dim = rng.choice([1, 2, 3, 100, 1536, 16000]) if n < 10 else rng.randint(1, 64)
        if name == 'sparsevec':
            items = {rng.randrange(dim * 10): rng.gauss(0, 10) for _ in range(dim // 2)}
            yield SparseVector.from_binary(SparseVector(dim * 10, items).to_binary())
        else:
            top = 1e38 if name == 'vector' else 6e4
            elements = [rng.choice([0, -0.0, 1, top, -top, rng.gauss(0, 1), rng.gauss(0, 1e-5)]) for _ in range(dim)]
            yield TYPES[name].from_binary(TYPES[name](elements).to_binary())


def round_trips(conn, name, values):
    """Parameters and results, each in text and binary."""
    for parameter in ('%t', '%b'):
        for binary in (False, True):
            with conn.cursor(binary=binary) as cur:
                same = all(cur.execute(f'SELECT {parameter}::{name}', (v,)).fetchone()[0] == v for v in values)
            ok(same, f"{name}: parameter {parameter}, result {'binary' if binary else 'text'}")
    for binary in (False, True):
        with conn.cursor(binary=binary) as cur:
            answer = cur.execute('SELECT %b::text, %b', (values[0], values)).fetchone()
        ok(answer == (answer[0], values), f"{name}: array of values, result {'binary' if binary else 'text'}")


def copies(conn, name, values):
    """COPY in and out, in text and binary, with the table in between."""
    with conn.cursor() as cur:
        for options, types in (('', None), ('WITH (FORMAT BINARY)', ['int4', name])):
            cur.execute(f'CREATE TEMP TABLE copied (id int, v {name}) ON COMMIT DROP')
            with cur.copy(f'COPY copied (id, v) FROM STDIN {options}') as copy:
                if types:
                    copy.set_types(types)
                for row in enumerate(values):
                    copy.write_row(row)
            rows = cur.execute('SELECT v FROM copied ORDER BY id', binary=True).fetchall()
            ok([row[0] for row in rows] == values, f"{name}: COPY FROM {options or 'in text'}")
            with cur.copy(f'COPY (SELECT id, v FROM copied ORDER BY id) TO STDOUT {options}') as copy:
                copy.set_types(['int4', name])
                rows = list(copy.rows())
            ok([row[1] for row in rows] == values, f"{name}: COPY TO {options or 'in text'}")
            conn.commit()


def errors(conn):
    """A bad parameter is an error of the right class, and the session goes on."""
    class Raw(bytes):
        pass

    for name, data, sqlstate, message in (
            ('vector', b'\0\2\0\0\x3f\x80\0\0', '08P01', 'insufficient data left in message'),
            ('vector', b'\0\1\0\0\x7f\xc0\0\0', '22000', 'NaN not allowed in vector'),
            ('vector', b'\0\1\0\0\x3f\x80\0\0\0', '22P03', 'incorrect binary data format in bind parameter 1'),
            ('halfvec', b'\0\1\0\0\x7c\0', '22000', 'infinite value not allowed in halfvec'),
            ('sparsevec', struct.pack('>iiiiiff', 9, 2, 0, 3, 3, 1, 1), '22000', 'sparsevec indices must not contain duplicates')):
        info = TypeInfo.fetch(conn, name)
        conn.adapters.register_dumper(Raw, type('RawDumper', (Dumper,), {
            'format': Format.BINARY, 'oid': info.oid, 'dump': lambda self, v: bytes(v)}))
        try:
            conn.execute('SELECT %b', (Raw(data),))
            seen = None
        except psycopg.Error as e:
            seen = (e.sqlstate, e.diag.message_primary)
        conn.rollback()
        ok(seen == (sqlstate, message), f'{name}: {sqlstate} {message}')
    ok(conn.execute('SELECT 1').fetchone() == (1,), 'the session goes on')


def search(conn):
    """What an application does: store, search by a prepared statement, average."""
    conn.execute('CREATE TEMP TABLE item (id int PRIMARY KEY, v vector(3), h halfvec(3), s sparsevec(3))')
    with conn.cursor() as cur:
        cur.executemany('INSERT INTO item VALUES (%b, %b, %b, %b)', [
            (i, Vector([i, 1, 0]), HalfVector([i, 1, 0]), SparseVector(3, {0: i, 1: 1})) for i in range(1, 101)])
    for column, query in (('v', Vector([41.8, 1, 0])), ('h', HalfVector([41.8, 1, 0])), ('s', SparseVector(3, {0: 41.8, 1: 1}))):
        for _ in range(2):
            rows = conn.execute(f'SELECT id, {column} FROM item ORDER BY {column} <-> %b LIMIT 3', (query,),
                                prepare=True, binary=True).fetchall()
        ok([row[0] for row in rows] == [42, 41, 43] and rows[0][1].to_text()[:3] in ('[42', '{1:'), f'{column}: nearest three')
    rows = conn.execute('SELECT avg(v), sum(h) FROM item WHERE id <= 3', binary=True).fetchall()
    ok(rows == [(Vector([2, 1, 0]), HalfVector([6, 3, 0]))], 'aggregates')
    rows = conn.execute('SELECT id FROM item WHERE v = %b', (Vector([7, 1, 0]),)).fetchall()
    ok(rows == [(7,)], 'equality')


def main():
    with psycopg.connect(autocommit=True) as conn:
        conn.execute('SET client_min_messages = warning')
        conn.execute('DROP EXTENSION IF EXISTS vektonn CASCADE')
        conn.execute('CREATE EXTENSION vektonn')
    with psycopg.connect() as conn:
        for name, python_type in TYPES.items():
            info = register(conn, name, python_type)
            ok(info.oid and info.array_oid, f'{name}: type and array type found')
            values = list(samples(name, 60))
            round_trips(conn, name, values)
            copies(conn, name, values)
        search(conn)
        conn.rollback()
        errors(conn)
    # in a schema that is not in the path, asked for by its full name
    with psycopg.connect(autocommit=True) as conn:
        conn.execute('DROP EXTENSION vektonn CASCADE')
        conn.execute('CREATE SCHEMA IF NOT EXISTS apart')
        conn.execute('CREATE EXTENSION vektonn SCHEMA apart')
        register(conn, 'apart.vector', Vector)
        value = Vector([1, 2.5, -0.0])
        ok(conn.execute('SELECT %b::apart.vector', (value,), binary=True).fetchone()[0] == value, 'in another schema')
        conn.execute('DROP EXTENSION vektonn CASCADE')
        conn.execute('DROP SCHEMA apart')
    print(f'1..{tests}')


main()
