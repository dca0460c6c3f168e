"""Your videos -> annotations, labelled and corrected in a page in the browser that a server on this machine gives.

`python label.py VIDEOS` opens the page; every edit is in the annotation file at once. With `--suggest RUN`, what a
trained run found is there to be accepted, corrected or rejected.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import shlex
import socket
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from environment import prerequisites  # noqa: F401

import command_line
from annotation_formats import files
from labelling import media
from labelling.storage import Labels

ADDRESS = "127.0.0.1"


def annotation_file(videos: Path) -> Path:
    """Where annotations of a folder of videos go: beside a folder `videos`, as the stages have it, else inside it."""
    folder = videos.parent if videos.name == "videos" else videos
    return folder / "annotations.json"


def _refuse_to_hide_a_table(path: Path, videos: Path) -> None:
    """Raises ValueError where a new file at `path` would be read in place of the table of actions beside it."""
    others = files.tables_in(path.parent) if path.parent.is_dir() and not path.exists() else []
    if len(others) == 1:  # of several none is read, as nobody says which
        command = shlex.join(
            ["python", "annotations.py", "convert", str(others[0]), str(path), "--videos", str(videos)]
        )
        raise ValueError(
            f"{path}: not there yet, and once it is, {others[0].name} beside it is no longer read: `{command}` takes "
            "over what that holds, --annotations FILE.json begins elsewhere"
        )


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket on this machine alone; port 0 takes a free one. Raises ValueError when the port is taken."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((ADDRESS, port))
            taken.listen()  # who comes before the server has started waits
        except OSError as error:
            raise ValueError(f"--port {port}: cannot be had: {error.strerror}; leave it out for a free one") from None
        yield taken


def serve(labels: Labels, videos: list[media.VideoFile], arguments: argparse.Namespace, options: list[str]) -> None:
    """Serve the page until Ctrl-C."""
    import uvicorn

    from labelling.server import Desk, make_app

    desk = Desk(labels, videos, labels.path.with_suffix(".labelling"), options)
    try:
        if arguments.suggest:
            desk.suggest(arguments.suggest)
        with listening(arguments.port) as taken:
            port, token = taken.getsockname()[1], secrets.token_urlsafe(16)
            app = make_app(desk, token, [f"{ADDRESS}:{port}", f"localhost:{port}"])
            address = f"http://{ADDRESS}:{port}/{token}/"
            print(
                f"{len(videos)} videos, {labels.path}\nopen: {address}\nCtrl-C ends; nothing is left to save",
                flush=True,
            )
            if not arguments.no_browser:
                webbrowser.open(address)
            settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="off")
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(settings).run(sockets=[taken])
    finally:
        desk.close()


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser(
        "Label videos in the browser: draw, correct and delete actions, accept what a trained run suggests.\n\n"
        "The annotations are ActivityNet JSON. Only videos marked as finished are trained on."
    )
    parser.add_argument("videos", type=Path, metavar="VIDEOS", help="folder: <id>.* or <subset>/<id>.*")
    where = "need not be there yet; else annotations.json in VIDEOS, or beside a folder “videos”"
    parser.add_argument("--annotations", type=Path, metavar="FILE.json", help=where)
    parser.add_argument("--suggest", type=Path, metavar="RUN", help="the folder of a run, or of localize.py's results")
    parser.add_argument("--port", type=int, default=0, help="else a free one")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    arguments = parser.parse_args(argv)

    def run() -> None:
        command_line.from_arguments(arguments)  # wrong settings are told now, not after an hour of labelling
        options = ["-c", str(arguments.config.absolute())] if arguments.config else []
        options += [part for setting in arguments.set for part in ("--set", setting)]
        folder = arguments.videos.absolute()
        videos = media.find(folder)
        if arguments.annotations is None:
            _refuse_to_hide_a_table(annotation_file(folder), folder)
        labels = Labels(arguments.annotations or annotation_file(folder))
        try:
            serve(labels, videos, arguments, options)
        finally:
            labels.close()

    return command_line.run_script(run, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
