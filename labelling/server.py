"""The page and what it asks for, over HTTP on this machine alone.

Every address begins with a token that only the browser which label.py opened knows; `Host` must name this machine, so
that no name of a stranger's leads here; and what changes something must come from the page itself. Videos are asked for
by id, of the list that the folder gave: no address holds a path.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import utils
from labelling import media
from labelling.background import Workshop
from labelling.media import VideoFile
from labelling.storage import ConflictError, Labels
from labelling.suggestions import Suggestions
from labelling.teaching import Teacher

FOLDER = Path(__file__).parent
SHARED = FOLDER.with_name("report_page")  # the parts that the page of a run has as well
FILES = {
    **{name: FOLDER / name for name in ("label.css", "model.js", "saving.js", "timeline.js", "lanes.js", "player.js",
                                        "panels.js", "keys.js", "begin.js")},
    **{name: SHARED / name for name in ("page.css", "elements.js")},
}  # fmt: skip
MOST_BYTES = 32 << 20  # of a request
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """Lets through what asks by the name of this machine, with the token, and writes from the page itself."""

    def __init__(self, app: ASGIApp, token: str, hosts: Sequence[str]):
        self._app, self._token, self._hosts = app, token, set(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse, a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope)) if scope["type"] == "http" else "expected http"
        if refusal:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> str:
        if request.headers.get("host") not in self._hosts:
            return "another Host than this machine's"
        given = request.url.path.split("/")[1]
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return "without the token of this session: use the address that label.py printed"
        if request.method in ("GET", "HEAD"):
            return ""
        origin = request.headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self._hosts}:
            return "another origin may not write"
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return "another site may not write"
        if request.headers.get("content-type") != "application/json":
            return "expected application/json"
        if int(request.headers.get("content-length") or MOST_BYTES + 1) > MOST_BYTES:
            return f"expected at most {MOST_BYTES:,} bytes, and their number"
        return ""


class Desk:
    """All that the page works with, and its answers; what raises ValueError is told in the page."""

    def __init__(self, labels: Labels, videos: Sequence[VideoFile], work: Path, options: Sequence[str] = ()):
        self.labels = labels
        self.videos = {video.id: video for video in videos}
        self.workshop = Workshop(work / "copies")
        self.teacher = Teacher(labels, videos, work, options)
        self.suggestions: Suggestions | None = None
        self._session = secrets.token_hex(4)
        self._times: dict[str, tuple[dict, float]] = {}
        self._order: list[str] = []
        self._changes, self._ordered_at = 0, 0  # what is labelled changes the order
        self._shown_classes: list[str] = []
        self._to_save = threading.Event()
        self._ended = False
        self._saver = threading.Thread(target=self._save, daemon=True)
        self._saver.start()

    def suggest(self, run: Path) -> None:
        """Suggest what `run` predicted."""
        self.suggestions = Suggestions(run)
        self._changes += 1

    def close(self) -> None:
        """End all that runs, and save."""
        self._ended = True
        self._to_save.set()
        self._saver.join()
        self.teacher.stop()
        self.workshop.stop()
        self.labels.close()

    def _save(self) -> None:
        """Bring the file up to date after each edit; those that come meanwhile are written together."""
        while not self._ended:
            self._to_save.wait()
            self._to_save.clear()
            try:
                self.labels.save()
            except ConflictError:
                pass  # the next edit, or look at the state, tells the page
            except OSError as error:
                utils.LOGGER.error("%s is not written, its journal has the edits: %s", self.labels.path, error)

    # what the page asks

    def state(self, _: dict) -> dict:
        """What there is: videos, classes, teaching."""
        changes = self._changes
        if self.suggestions and changes != self._ordered_at:
            self._order, self._ordered_at = self.suggestions.order(self.labels), changes
        rank = {name: number for number, name in enumerate(self._order)}
        entries, suggested = self.labels.entries(), self.suggestions.videos() if self.suggestions else ()
        videos = [
            {"id": name, "status": self.labels.status(name), "subset": entries.get(name, {}).get("subset", file.subset),
             "count": len(entries.get(name, {}).get("annotations") or []), "rank": rank.get(name),
             "suggested": name in suggested}
            for name, file in self.videos.items()
        ]  # fmt: skip
        return {
            "session": self._session,
            "file": str(self.labels.path),
            "changed": self.labels.changed_elsewhere(),
            "videos": videos,
            "ordered": bool(rank),
            "classes": self._classes(),
            "counts": self.labels.counts(),
            "teaching": self.teacher.state(),
        }

    def _classes(self) -> list[str]:
        """The classes that are labelled or suggested; what came first stays first, as keys and colours go by it."""
        suggested = self.suggestions.classes() if self.suggestions else []
        there = dict.fromkeys([*self.labels.classes(), *suggested])
        known = [name for name in self._shown_classes if name in there]
        self._shown_classes = [*known, *(name for name in there if name not in known)]
        return self._shown_classes

    def open(self, question: dict) -> dict:
        """A video: what is labelled and suggested in it, the times of its frames, and what plays it."""
        video = self._video(question)
        if video.id not in self._times:
            self._times[video.id] = media.frame_times(video.path)
        frames, end = self._times[video.id]
        suggestions = self.suggestions.of_video(video.id) if self.suggestions else []
        unsure = self.suggestions.unsure(video.id) if self.suggestions else []
        told = {"id": video.id, "name": video.path.name, "frames": frames, "end": end, "suggestions": suggestions}
        return told | {"unsure": unsure} | self.labels.video(video.id) | self.progress(question)

    def progress(self, question: dict) -> dict:
        """How far the copy of a video and its shot changes are; `late`: how far its player's clock is ahead."""
        video = self._video(question)
        file, copying = self.workshop.picture(video)
        shots, _ = self.workshop.shots(video)
        told = {
            "version": self.labels.video(video.id)["version"],
            "ready": file is not None,
            "copied": copying.share,
            "error": copying.error,
            "shots": shots,
        }
        frames = self._times[video.id][0] if video.id in self._times else {}
        first = frames.get("times", [0.0])[0]
        return told | {"late": 0.0 if file in (None, video.path) else -first}  # a copy begins at 0

    def edit(self, question: dict) -> dict:
        """Change a video; see `Labels.edit`."""
        video = self._video(question)
        if video.id not in self._times:
            self._times[video.id] = media.frame_times(video.path)
        end = self._times[video.id][1]
        version = self.labels.edit(video.id, question["version"], question["change"], video.subset, end)
        self._changed()
        return {
            "version": version,
            "status": self.labels.status(video.id),
            "counts": self.labels.counts(),
            "classes": self._classes(),
        }

    def name_class(self, question: dict) -> dict:
        """Add or rename a class."""
        old, new = question.get("old"), question["new"]
        if old is None:
            self.labels.name_class(new)
        else:
            self.labels.rename_class(old, new)
            self._shown_classes = [new if name == old else name for name in self._shown_classes]
        self._changed()
        return self.state({})

    def resolve(self, question: dict) -> dict:
        """After another program has changed the file: keep one, and say where the other lies."""
        aside = self.labels.resolve(question["keep"])
        self._changes += 1
        return self.state({}) | {"aside": str(aside) if aside else ""}

    def teach(self, _: dict) -> dict:
        """Train on what is finished, and suggest what the run predicts."""
        self.teacher.start(self.suggest)
        return self.state({})

    def _changed(self) -> None:
        self._changes += 1
        self._to_save.set()

    def _video(self, question: dict) -> VideoFile:
        name = question.get("video")
        if not isinstance(name, str) or name not in self.videos:
            raise ValueError(f"video {name!r:.80}: there is none of this name")
        return self.videos[name]

    def media(self, request: Request) -> Response:
        """A video, or its copy; in ranges, as players ask."""
        name = request.path_params["name"]
        if name not in self.videos:
            return PlainTextResponse("no such video", status_code=404)
        file, _ = self.workshop.picture(self.videos[name])
        return FileResponse(file) if file else PlainTextResponse("its copy is being made", status_code=404)


def make_app(desk: Desk, token: str, hosts: Sequence[str]) -> ASGIApp:
    """The application: page, its files, videos, questions (GET) and changes (POST) with JSON answers."""

    def answer(act: Callable[[dict], dict]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            question = dict(request.query_params)
            try:
                if request.method == "POST":
                    question = json.loads(await request.body())
                    if not isinstance(question, dict):
                        raise ValueError("expected an object")
                return JSONResponse(await run_in_threadpool(act, question))
            except ConflictError as conflict:
                return JSONResponse({"conflict": conflict.what}, status_code=409)
            except (ValueError, KeyError) as error:
                return JSONResponse({"error": utils.one_line(error)}, status_code=400)

        return endpoint

    def static(request: Request) -> Response:
        path = FILES.get(request.path_params["name"])
        return FileResponse(path) if path else PlainTextResponse("no such file", status_code=404)

    def page(_: Request) -> Response:
        return FileResponse(FOLDER / "page.html")

    asked = {"state": desk.state, "open": desk.open, "progress": desk.progress}
    changing = {"edit": desk.edit, "class": desk.name_class, "resolve": desk.resolve, "teach": desk.teach}
    routes = [
        Route(f"/{token}/", page),
        Route(f"/{token}/files/{{name}}", static),
        Route(f"/{token}/media/{{name}}", desk.media),
        *(Route(f"/{token}/{name}", answer(act)) for name, act in asked.items()),
        *(Route(f"/{token}/{name}", answer(act), methods=["POST"]) for name, act in changing.items()),
    ]
    return Guard(Starlette(routes=routes), token, hosts)
