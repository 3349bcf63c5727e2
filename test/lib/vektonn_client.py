#!/usr/bin/env python3
"""Vektonn's published Python client against the sample gateway: its own tests' scenarios.

    vektonn_client.py URL

Run by 045_gateway.pl where VK_CLIENT_PYTHON names a Python that has the client
(pip install --no-deps vektonn, and requests, orjson, aiohttp, pydantic below 2).
Speaks TAP.
"""
import asyncio
import sys

from vektonn import Vektonn, VektonnApiError, VektonnAsync
from vektonn.dtos import Attribute, AttributeValue, InputDataPoint, SearchQuery, Vector

tests = 0
url = sys.argv[1]
client = Vektonn(url)


def ok(condition, name):
    global tests
    tests += 1
    print(f"{'ok' if condition else 'not ok'} {tests} - {name}", flush=True)


def attributes(number, payload):
    return [Attribute(key="id", value=AttributeValue(int64=number)), Attribute(key="payload", value=AttributeValue(string=payload))]


def dense(*coordinates):
    return Vector(is_sparse=False, coordinates=list(coordinates))


def refused(call):
    try:
        call()
    except VektonnApiError as error:
        return error.status, error.error.error_messages
    return None


def search(k, *vectors, **more):
    return client.search("Client", "1.0", SearchQuery(k=k, query_vectors=list(vectors), **more))


points = [("first data point", [0, 1]), ("second data point", [1, 0]), ("third data point", [-0.5, 0])]
client.upload("Client", "1.0", [InputDataPoint(attributes=attributes(i + 1, p), vector=dense(*v)) for i, (p, v) in enumerate(points)])
found = search(2, dense(0, 2), retrieveVectors=True)[0]
ok(found.query_vector == dense(0, 2), "the query comes back")
ok([(p.distance, p.vector, sorted(p.attributes, key=lambda a: a.key)) for p in found.nearest_data_points] ==
   [(1.0, dense(0, 1), attributes(1, "first data point")), (4.25, dense(-0.5, 0), attributes(3, "third data point"))], "quick start")
ok([p.vector for p in search(2, dense(0, 2), retrieveVectors=False)[0].nearest_data_points] == [None, None], "without vectors")
ok([[p.attributes[0].value.int64 for p in r.nearest_data_points] for r in search(1, dense(0, 2), dense(2, 0))] == [[1], [2]], "several queries")
client.upload("Client", "1.0", [InputDataPoint(attributes=attributes(i, ""), is_deleted=True) for i in (1, 2, 3)])
ok([len(r.nearest_data_points) for r in search(3, dense(0, 0), dense(1, 1))] == [0, 0], "deleted")
client.upload("Client", "1.0", [InputDataPoint(attributes=attributes(42, "Юникод"), is_deleted=True)])
ok(True, "a deletion of what is not there")
ok(refused(lambda: client.search("No", "2.0", SearchQuery(k=1, query_vectors=[dense(0, 0)]))) ==
   (404, ["Index IndexId { Name = No, Version = 2.0 } does not exist"]), "unknown index")
ok(refused(lambda: search(-1)) == (400, ["K must be positive", "At least one query vector is required"]), "two messages")
ok(refused(lambda: client.upload("No", "2.0", [])) == (404, ["Data source DataSourceId { Name = No, Version = 2.0 } does not exist"]), "unknown source")
ok(refused(lambda: client.upload("Client", "1.0", [InputDataPoint(attributes=attributes(1, "x"), is_deleted=False)])) ==
   (400, ["IsDeleted is inconsistent with Vector"]), "neither vector nor deletion")


async def asynchronous():
    other = VektonnAsync(url)
    await other.upload("Client", "1.0", [InputDataPoint(attributes=attributes(7, "seven"), vector=dense(7, 7))])
    return await other.search("Client", "1.0", SearchQuery(k=5, query_vectors=[dense(7, 8)]))

ok([p.distance for p in asyncio.run(asynchronous())[0].nearest_data_points] == [1.0], "asynchronously")
print(f"1..{tests}")
