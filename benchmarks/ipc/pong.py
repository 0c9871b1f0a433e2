"""The other end of the ping-pong: gives back what comes, raw or framed as JSON.

python pong.py DESCRIPTOR raw|json
"""

import json
import socket
import sys


def main():
    """Answer until the other end closes."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    while data := sock.recv(65536):
        if sys.argv[2] == "json":
            while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
                data += sock.recv(65536)
            body = json.loads(data[4:])
            result = {"outputs": {"text": body["params"]["inputs"]["text"]}, "directory": False}
            answer = {"jsonrpc": "2.0", "id": body["id"], "result": result}
            data = json.dumps(answer).encode()
            data = len(data).to_bytes(4, "big") + data
        sock.sendall(data)


main()
