"""A folder of small videos, and label.py's server on it, in a thread or as a process of its own."""

import contextlib
import http.client
import json
import subprocess
import sys
import threading
from pathlib import Path

from made_videos import make_mpeg4, make_video

import label
from labelling import media, storage
from labelling.server import Desk, make_app

ROOT = Path(__file__).parents[1]
TOKEN = "t0ken"  # noqa: S105
OLD = "old"  # a video that no browser plays


def make_folder(folder, videos=2, frames=50):
    for number in range(videos):
        make_video(folder / f"videos/v{number}.mp4", frames=frames)
    (folder / "videos").mkdir(exist_ok=True)
    make_mpeg4(folder / f"videos/{OLD}.avi")
    return folder / "videos"


def action(start, end, name="jump", **more):
    return {"segment": [start, end], "label": name, **more}


@contextlib.contextmanager
def served(videos, file, suggest=None, options=()):
    """Serve; yields the address, with its token, and the desk."""
    import uvicorn

    labels = storage.Labels(file)
    desk = Desk(labels, media.find(videos), file.with_suffix(".labelling"), options)
    if suggest:
        desk.suggest(suggest)
    try:
        with label.listening(0) as taken:
            port = taken.getsockname()[1]
            app = make_app(desk, TOKEN, [f"127.0.0.1:{port}", f"localhost:{port}"])
            settings = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
            server = uvicorn.Server(settings)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
            thread.start()
            try:
                yield f"http://127.0.0.1:{port}/{TOKEN}/", desk
            finally:
                server.should_exit = True
                thread.join()
    finally:
        desk.close()


def request(address, method="GET", path="state", headers=(), body=None, token=TOKEN):
    """Status, headers and bytes of the answer to one request; the path goes as it is."""
    host = address.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=120)
    try:
        connection.putrequest(method, f"/{token}/{path}" if token else f"/{path}", skip_host=True)
        sent = {"Host": host, **dict(headers)}
        if body is not None:
            sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **sent}
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def post(address, path, value, **headers):
    status, _, body = request(address, "POST", path, headers, json.dumps(value).encode())
    return status, body


@contextlib.contextmanager
def process(*arguments):
    """label.py as a user runs it; yields the process and the address that it printed."""
    command = [sys.executable, "label.py", *map(str, arguments), "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            lines = iter(running.stdout.readline, "")
            yield running, next(line.split()[1] for line in lines if line.startswith("open: "))
        finally:
            running.kill()
