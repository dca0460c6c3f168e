"""A web server on 127.0.0.1 that serves made videos and misbehaves on demand, and a folder to download into.

`python tests/download_server.py ANNOTATIONS.json COUNT` serves the first COUNT videos of an annotation file with a mix
of faults, to look at the downloader by hand.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import av
import numpy as np
import yaml

# what a server does to a video, and the reason that the manifest must end with; None: it arrives whole
FAULTS = {
    "none": None,
    "503 then success": None,  # the first request
    "429 then success": None,
    "dropped": None,  # every response breaks off after a third of the file; Range requests go on from there
    "403": "http_403",
    "404": "http_404",
    "410": "http_410",
    "429": "http_429",
    "500": "http_5xx",
    "stalled": "network",  # a third of the file, then silence
    "html": "not_a_video",  # a page under the video's address
    "junk": "not_a_video",  # 262 bytes that call themselves a video
    "truncated": "too_short",  # a third is missing, and the length in the header says so too
    "too long": "too_long",
    "too short": "too_short",
}


LENGTHS = {"too long": 4.0, "too short": 0.5}  # seconds of what comes instead
SUBSETS = ("training", "validation", "testing")
SECONDS = 2.0  # of each video of a Place


def make_video(seconds: float, seed: int, fps: int = 10, size: int = 64) -> bytes:
    """An mp4 of moving noise whose index stands in front, so that a cut file still opens. Equal seeds, equal bytes."""
    noise = np.random.default_rng(seed)
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        with av.open(file.name, "w", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("mpeg4", rate=fps)
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            for _ in range(round(seconds * fps)):
                pixels = noise.integers(0, 256, (size, size, 3), dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())
        return Path(file.name).read_bytes()


class FaultyServer(ThreadingHTTPServer):
    """Serves `/<id>.mp4`; a context manager. faults: id -> key of FAULTS; bodies: id -> the true video's bytes."""

    daemon_threads = True

    def __init__(self, bodies: dict[str, bytes], faults: dict[str, str], pause: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies, self.faults = bodies, faults
        # made before anybody waits for them
        self.others = {fault: make_video(LENGTHS[fault], seed=0) for fault in LENGTHS.keys() & set(faults.values())}
        self.pause = pause  # seconds between two blocks of a body, so that a kill meets half a file
        self.retry_after = "0"  # seconds, sent with 429
        self.requests: list[str] = []  # ids, in the order in which they were asked for
        self.count: Counter[str] = Counter()
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def template(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{{id}}.mp4"

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        self.send_header("Connection", "close")
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        video_id = unquote(self.path).removeprefix("/").removesuffix(".mp4")
        self.server.requests.append(video_id)
        self.server.count[video_id] += 1
        body = self.server.bodies.get(video_id)
        fault = self.server.faults.get(video_id, "none")
        refusals = 1 if fault.endswith("then success") else sys.maxsize
        if body is None:
            return self._refuse(404)
        if re.match(r"\d{3}", fault) and self.server.count[video_id] <= refusals:
            return self._refuse(int(fault[:3]))
        if fault == "html":
            return self._send(b"<html><title>Sign up</title><p>No video.</p></html>", "text/html")
        if fault == "junk":
            return self._send(bytes(range(256)) + b"262...", "video/mp4")
        if fault == "truncated":
            body = body[: len(body) * 2 // 3]
        body = self.server.others.get(fault, body)
        return self._send(body, "video/mp4", fault)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, body: bytes, kind: str, fault: str = "none") -> None:
        """Send `body`, or the part that a Range header asks for."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        stop = min(int(wanted[2]) + 1, len(body)) if wanted and wanted[2] else len(body)
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if self.command == "HEAD":
            return None
        third = len(body) // 3
        last = {"dropped": min(stop, start + third), "stalled": max(start, third)}.get(fault, stop)
        for position in range(start, last, 8192):
            self.wfile.write(body[position : min(position + 8192, last)])
            time.sleep(self.server.pause)
        if fault == "stalled":
            self.server.closing.wait(60)
        return None


class Place:
    """A folder with annotations, settings and videos, and what a run left there."""

    def __init__(self, folder: Path, faults: dict[str, str]) -> None:
        self.folder, self.faults = folder, faults
        self.videos = folder / "videos"
        self.subset = {video_id: SUBSETS[number % 3] for number, video_id in enumerate(faults)}
        self.bodies = {video_id: make_video(SECONDS, seed) for seed, video_id in enumerate(faults)}
        database = {
            video_id: {"subset": self.subset[video_id], "duration": SECONDS, "annotations": annotations}
            for video_id in faults
            for annotations in [[] if self.subset[video_id] == "testing" else [{"label": "Ski", "segment": [0.5, 1.5]}]]
        }
        self.write("annotations.json", json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": database}))

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def command(self, server: FaultyServer | None, **settings: object) -> list[str]:
        download = {
            "url_template": server.template if server else "http://127.0.0.1:9/{id}.mp4",
            "sleep_seconds": [0, 0],
            "backoff_seconds": 0,
            "timeout_seconds": 0.3,
            "duration_tolerance": [0.05, 0.2],
            "stop_after_blocks": 1000,
            "stop_after_failures": 1000,
            "max_failed_fraction": 1.0,
            "min_free_gb": 0,
        } | settings
        paths = {"data_dir": str(self.folder), "json_data_path": "annotations.json", "videos_folder": "videos"}
        config = self.write("settings.yml", yaml.safe_dump({"paths": paths, "download": download}))
        return ["-c", str(config), *SUBSETS]

    def manifest(self) -> list[dict]:
        return [json.loads(line) for line in (self.videos / "manifest.jsonl").read_text().splitlines()]

    def reasons(self) -> dict[str, str | None]:
        return {line["id"]: line["reason"] for line in self.manifest()}

    def report(self) -> dict:
        return json.loads((self.videos / "report.json").read_text())

    def files(self) -> dict[str, bytes]:
        return {
            path.stem: path.read_bytes()
            for subset in SUBSETS
            for path in (self.videos / subset).glob("*")
            if self.subset.get(path.stem) == subset
        }

    def good(self) -> dict[str, bytes]:
        return {video_id: self.bodies[video_id] for video_id, fault in self.faults.items() if FAULTS[fault] is None}

    def check_all(self) -> None:
        """Exactly the good videos are there, byte for byte, and each of the others has its reason."""
        assert self.files() == self.good()
        assert len([path for path in self.videos.glob("*/*") if path.is_file()]) == len(self.good())
        assert self.reasons() == {video_id: FAULTS[fault] for video_id, fault in self.faults.items()}
        assert not (self.videos / ".partial").exists()


def mixed_faults(ids: list[str], seed: int, good_share: float) -> dict[str, str]:
    """A fault for each id: about `good_share` of them none, the others evenly over the rest, shuffled."""
    noise = np.random.default_rng(seed)
    kinds = [fault for fault in FAULTS if fault != "none"]
    bad = round(len(ids) * (1 - good_share))
    faults = ["none"] * (len(ids) - bad) + [kinds[number % len(kinds)] for number in range(bad)]
    return dict(zip(ids, noise.permutation(faults).tolist(), strict=True))


if __name__ == "__main__":
    database = json.loads(Path(sys.argv[1]).read_text())["database"]
    chosen = dict(list(database.items())[: int(sys.argv[2])])
    made = {name: make_video(entry["duration"], seed, fps=2) for seed, (name, entry) in enumerate(chosen.items())}
    with FaultyServer(made, mixed_faults(list(made), seed=1, good_share=0.6), pause=0.01) as running:
        print(f"--set download.url_template={running.template}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
