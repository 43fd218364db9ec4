"""The platform's HTTP interface, by real requests to a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile

from quietfield.serve import Answer, serve

ROOT = Path(__file__).resolve().parents[1]
SOCKET = Path("images", "image-stack-unstructured-noise")
ANSWERS = Path("images", "image-stack-denoised")


class Server:
    def __init__(self, folder: Path, model: Path) -> None:
        self.input, self.output = folder / "in", folder / "out"
        (self.input / SOCKET).mkdir(parents=True)
        command = [sys.executable, "-W", "error", str(ROOT / "inference.py"), "--model", str(model), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--input", str(self.input), "--output", str(self.output)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "QUIETFIELD_API": "invoke"},
        )
        self.log: list[str] = []
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"listening on port (\d+)", line):
                self.port = int(found[1])
                break
        # Else the pipe would be full at some time.
        self.reader = threading.Thread(target=self.log.extend, args=(self.process.stderr,))
        self.reader.start()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        assert self.process.stderr
        self.process.stderr.close()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content) if content else {}

    def put(self, name: str, content: bytes) -> None:
        (self.input / SOCKET / name).write_bytes(content)


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("localhost", port, timeout=10)


@contextmanager
def served(work: Callable[[], Answer]) -> Iterator[int]:
    """A server in a thread of this process; gives its port."""
    ports: queue.Queue[int] = queue.Queue()
    stopping = threading.Event()

    def job() -> Answer:
        if stopping.is_set():
            raise SystemExit
        return work()

    def run() -> None:
        with suppress(SystemExit):
            serve(job, 0, ports.put)

    thread = threading.Thread(target=run)
    thread.start()
    port = ports.get(timeout=10)
    yield port
    stopping.set()
    with closing(connect(port)) as connection:
        connection.request("POST", "/invoke")
        assert connection.getresponse().status == 500
    thread.join(10)


@pytest.fixture
def server(tmp_path: Path, tiny_model: Path) -> Iterator[Server]:
    server = Server(tmp_path, tiny_model)
    yield server
    server.close()


def tiff(folder: Path, side: int) -> bytes:
    path = folder / "any.tif"
    tifffile.imwrite(path, np.random.default_rng(0).poisson(100, (side, side)).astype("uint16"))
    return path.read_bytes()


def test_one_model_serves_many_jobs_and_bad_ones_do_not_end_it(server: Server, tmp_path: Path) -> None:
    good = tiff(tmp_path, 40)
    assert server.ask("GET", "/health")[0] == 200
    status, content = server.ask("POST", "/invoke")
    assert (status, content["denoised"]) == (400, 0)
    assert "no input: expected .tif" in str(content["problems"])

    server.put("a.tif", good)
    assert server.ask("POST", "/invoke", b"{}") == (201, {"denoised": 1, "problems": []})
    assert tifffile.imread(server.output / ANSWERS / "a.tif").shape == (40, 40)

    server.put("broken.tif", good[:200])
    status, content = server.ask("POST", "/invoke")
    assert (status, content["denoised"]) == (500, 1)
    assert "broken.tif" in str(content["problems"])
    assert [path.name for path in (server.output / ANSWERS).iterdir()] == ["a.tif"]

    (server.input / SOCKET / "broken.tif").unlink()
    assert server.ask("POST", "/invoke?any=thing")[0] == 201
    assert sum("weights sha256" in line for line in server.log) == 1


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 404),
        ("GET", "/invoke", {}, 404),
        ("POST", "/health", {}, 404),
        ("HEAD", "/health", {}, 200),
        ("PUT", "/invoke", {}, 501),
        ("POST", "/invoke", {"Content-Length": "much"}, 400),
    ],
)
def test_other_requests_are_answered(method: str, path: str, headers: dict[str, str], status: int) -> None:
    with served(lambda: Answer(201, {})) as port, closing(connect(port)) as connection:
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == status
        answer.read()


def test_health_is_told_while_a_job_is_done_and_an_unforeseen_failure_is_an_answer() -> None:
    going, finish = threading.Event(), threading.Event()

    def work() -> Answer:
        going.set()
        assert finish.wait(10)
        raise RuntimeError("nobody thought of this")

    with served(work) as port, closing(connect(port)) as job, closing(connect(port)) as other:
        job.request("POST", "/invoke")
        assert going.wait(10)
        other.request("GET", "/health")
        health = other.getresponse()
        assert health.status == 200
        health.read()
        finish.set()
        answer = job.getresponse()
        assert answer.status == 500
        assert "nobody thought of this" in answer.read().decode()


def test_a_stop_ends_it_in_order(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 128 + signal.SIGTERM


def test_a_port_that_is_taken_is_named(tmp_path: Path, tiny_model: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, str(ROOT / "inference.py"), "--api", "invoke", "--port", port]
        command += ["--model", str(tiny_model)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert f"port {port}: expected a free one" in result.stderr


def test_an_unknown_interface_is_named() -> None:
    environment = {**os.environ, "QUIETFIELD_API": "carrier-pigeon"}
    command = [sys.executable, str(ROOT / "inference.py")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert result.returncode == 2
    assert "$QUIETFIELD_API: expected exec or invoke, found 'carrier-pigeon'" in result.stderr
