"""Ask a container that serves HTTP, locked down, for what goes well and what does not: `invoke.py ENGINE IMAGE`.

The requests are made inside it, as it has no network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INPUT = ROOT / "test" / "input" / "interface_0"
SOCKET = Path("images", "image-stack-unstructured-noise")
CLIENT = """
import sys, urllib.error, urllib.request
method, path = sys.argv[1:]
body = b"{}" if method == "POST" else None
try:
    answer = urllib.request.urlopen(urllib.request.Request("http://localhost:4743" + path, body, method=method))
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.read().decode())
"""
LOCK = [
    *("--network", "none", "--memory", "8g", "--read-only", "--tmpfs", "/tmp"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
]


def main(engine: str, image: str) -> int:
    """The number of answers that were not as expected."""
    name = f"{image}-asked"
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in"), Path(folder, "out")
        for path in (source, output):
            path.mkdir()
        output.chmod(0o777)

        def ask(method: str, path: str, status: int, words: str) -> None:
            nonlocal wrong
            command = [engine, "exec", name, "python", "-c", CLIENT, method, path]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            found, content = result.stdout.split("\n", 1)
            fine = int(found) == status and words in json.dumps(json.loads(content))
            wrong += not fine
            print(f"{method} {path}: {found} {content.strip()}{'' if fine else f'; EXPECTED {status} {words}'}")

        def given(*files: tuple[str, bytes]) -> None:
            for path in (source, output):
                shutil.rmtree(path / "images", ignore_errors=True)
            for file, content in files:
                (source / SOCKET).mkdir(parents=True, exist_ok=True)
                (source / SOCKET / file).write_bytes(content)

        good = (INPUT / SOCKET / "simulated.tif").read_bytes()
        start = time.perf_counter()
        options = [*LOCK, "--user", "0:0", "-v", f"{source}:/input:ro", "-v", f"{output}:/output"]
        subprocess.run([engine, "run", "--detach", "--name", name, *options, image], check=True, capture_output=True)
        try:
            while subprocess.run(
                [engine, "exec", name, "python", "-c", CLIENT, "GET", "/health"], capture_output=True
            ).returncode:
                time.sleep(0.2)
            print(f"healthy after {time.perf_counter() - start:.1f} s")
            ask("GET", "/health", 200, "healthy")
            ask("GET", "/elsewhere", 404, "GET /health")
            ask("POST", "/invoke", 400, "no input: expected .tif")
            given(("x.tif", good))
            start = time.perf_counter()
            ask("POST", "/invoke", 201, '"denoised": 1')
            print(f"the first image took {time.perf_counter() - start:.1f} s, with the start of the client")
            given(("x.tif", good), ("broken.tif", good[:3000]))
            ask("POST", "/invoke", 500, "broken.tif")
            answers = sorted(path.name for path in output.rglob("*.tif"))
            wrong += answers != ["x.tif"]
            print(f"beside the broken file: {', '.join(answers)}")
            given(("x.tif", good))
            ask("POST", "/invoke", 201, '"problems": []')
            stopped = subprocess.run([engine, "stop", "--time", "20", name], capture_output=True, check=False)
            code = subprocess.run(
                [engine, "inspect", "--format", "{{.State.ExitCode}}", name], capture_output=True, text=True, check=True
            ).stdout.strip()
            wrong += bool(stopped.returncode) or code != "143"
            print(f"stopped by SIGTERM: exit code {code}")
        finally:
            subprocess.run([engine, "rm", "--force", name], capture_output=True, check=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
