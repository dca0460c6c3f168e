"""Videos -> feature files on a Dask cluster: one task a video, run again elsewhere when its worker is lost.

Workers see this program, the videos and the features under the same paths as this process: they are on the same
machine, or share a folder.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import config
from extraction.lanes import GPU, Outcome, available_cores, make_progress

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2  # of a task that failed for another reason than its video, such as a file system that was away
CONNECT_SECONDS = 30


@contextlib.contextmanager
def connect(scheduler: str | None, local_cluster: int | None) -> Iterator[Client]:
    """A client of the scheduler at an address, or of `local_cluster` worker processes started on this machine.

    Whoever reaches a scheduler's port runs programs as its user, and on loopback every user of the machine does: that
    of `local_cluster` speaks to this process and its workers alone, by certificates that live in their memory.
    Raises ValueError when Dask is not installed or nobody answers.
    """
    try:
        import distributed

        security = distributed.Security.temporary() if local_cluster else None
    except ImportError:
        raise ValueError(
            "--scheduler and --local-cluster need Dask: install it with: pip install -r requirements-cluster.txt"
        ) from None
    with contextlib.ExitStack() as stack:
        if local_cluster:
            scheduler = stack.enter_context(distributed.LocalCluster(
                n_workers=local_cluster, threads_per_worker=max(1, available_cores() // local_cluster), processes=True,
                host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs="ERROR",
                security=security,
            ))  # fmt: skip
        try:
            client = stack.enter_context(distributed.Client(scheduler, timeout=CONNECT_SECONDS))
        except (OSError, ValueError) as error:
            raise ValueError(f"--scheduler {scheduler}: no Dask scheduler answers there: {error}") from None
        print(f"{len(_workers(client))} workers, dashboard: {client.dashboard_link}")
        if not _workers(client):
            print("waiting for the first worker", flush=True)
            client.wait_for_workers(1)
        yield client


def extract(
    client: Client,
    todo: dict[Path, Path],
    folder: Path,
    extractor: config.ExtractorSettings,
    video: config.VideoSettings,
) -> Outcome:
    """Write the feature file of each video in `todo`; one that cannot be read becomes a line in the outcome.

    `folder` is that of the features, with their `extractor.json`.
    """
    from distributed import KilledWorker, as_completed

    sections = {"extractor": extractor.model_dump(mode="json"), "video": video.model_dump(mode="json")}
    text, run = json.dumps(sections | {"folder": str(folder)}), _task()
    resources = {GPU: 1} if any(GPU in worker["resources"] for worker in _workers(client)) else None
    options = {"resources": resources, "pure": False}
    # settings or weights that cannot be end the run here, not once a video
    client.submit(run, "open_network", text, **options).result()
    tasks = {
        client.submit(run, "extract_video", text, str(path), str(target), retries=RETRIES, **options): path
        for path, target in todo.items()
    }
    outcome = Outcome()
    with make_progress(len(todo)) as progress:
        for task in as_completed(list(tasks)):
            try:
                frames, failure = task.result()
            except KilledWorker as error:
                frames, failure = 0, f"{tasks[task]}: its workers were lost, one after the other: {error}"
            outcome.count_frames(frames, progress)
            outcome.count(failure, progress)
            task.release()  # the scheduler forgets it, which keeps its memory small
    return outcome


def _workers(client: Client) -> list[dict]:
    return list(client.scheduler_info(n_workers=-1)["workers"].values())


def _task() -> Callable:
    """The function that workers get: a local one, since those travel as code, which nobody has to import."""
    program = str(Path(__file__).resolve().parents[1])

    def run(name: str, *arguments: str) -> object:
        import importlib
        import sys

        if program not in sys.path:
            sys.path.insert(0, program)
        return getattr(importlib.import_module("extraction.tasks"), name)(*arguments)

    return run
