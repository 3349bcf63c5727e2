#!/usr/bin/env python3
"""A sample gateway: Vektonn's public HTTP API in front of a database.

    gateway.py PORT 'dbname=... host=...'

POST (or GET) /api/v1/search/{index}/{version} and POST /api/v1/upload/{source}/{version} are passed to
vektonn.search_json and vektonn.upload_json.  Wrong requests are 400, unknown names 404, each with Vektonn's
{"errorMessages": [...]}.  One connection per request, no authentication: a sample, to be run on loopback.
Needs psycopg (3) or psycopg2.
"""
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

try:
    import psycopg as driver
except ImportError:
    import psycopg2 as driver

ROUTE = re.compile(r"^/api/v1/(search|upload)/([^/?]+)/([^/?]+)/?$")
CALLS = {
    "search": "SELECT vektonn.search_json(%s, %s, %s::jsonb)::text",
    "upload": "SELECT vektonn.upload_json(%s, %s, %s::jsonb)::text",
}
STATUS = {"22023": 400, "22P02": 400, "22004": 400, "42704": 404}


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def complain(self, status, messages):
        self.answer(status, json.dumps({"errorMessages": messages}))

    def do_POST(self):
        route = ROUTE.match(self.path)
        if not route:
            return self.complain(404, ["no such path"])
        what, name, version = route.groups()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        try:
            connection = driver.connect(self.server.database)
            try:
                connection.autocommit = True
                cursor = connection.cursor()
                cursor.execute(CALLS[what], (name, version, body))
                result = cursor.fetchone()[0]
            finally:
                connection.close()
        except driver.Error as error:
            state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
            message = error.diag.message_primary if error.diag and error.diag.message_primary else str(error)
            return self.complain(STATUS.get(state, 500), message.split("; "))
        # An upload answers with an empty body.
        self.answer(200, result if what == "search" else "")

    do_GET = do_POST

    def log_message(self, format, *args):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.database = sys.argv[2]
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
