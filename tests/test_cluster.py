"""Extraction on a Dask cluster of worker processes on loopback, also when one is killed, equals the local run."""

import os
import signal
import sys
import threading

import pytest
from extraction_videos import assignments, check_whole, digests, make_videos
from made_videos import make_video

import config
import feature_map_extractor
from extraction import cluster

VIDEOS = 24


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A folder with videos, and the features of an undisturbed run on this machine in `local`."""
    folder = tmp_path_factory.mktemp("cluster")
    make_videos(folder, VIDEOS, frames=150)
    assert feature_map_extractor.run(config.load(None, assignments(folder, "local")), ["training"]) == 0
    check_whole(folder / "local", VIDEOS)
    return folder


@pytest.fixture
def dask():
    import distributed

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", memory_limit=0,
                                  dashboard_address="127.0.0.1:0", silence_logs="CRITICAL") as running:  # fmt: skip
        yield running


def kill_one_worker(dask, folder, killed, over):
    """Kill a worker process as soon as the first video is done and another is being written."""
    with cluster.connect(dask.scheduler_address, None) as client:
        pids = sorted(client.run(os.getpid).values())
        while len(list(folder.glob("*.tfrecord"))) < 2 or not list(folder.glob(".*.part*")):
            if over.wait(0.002):
                return
        os.kill(pids[0], signal.SIGKILL)
        killed.append(len(list(folder.glob("*.tfrecord"))))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask's, about a worker that is gone
def test_a_killed_worker_changes_no_byte(local, dask, capsys):
    killed, over = [], threading.Event()
    folder = local / "killed" / "training"
    killer = threading.Thread(target=kill_one_worker, args=(dask, folder, killed, over))
    killer.start()
    settings = config.load(None, assignments(local, "killed"))
    try:
        assert feature_map_extractor.run(settings, ["training"], scheduler=dask.scheduler_address) == 0
    finally:
        over.set()
        killer.join()
    assert killed and killed[0] < VIDEOS
    check_whole(local / "killed", VIDEOS)
    assert digests(local / "killed") == digests(local / "local")
    output = capsys.readouterr().out
    assert f"{VIDEOS} videos" in output and "2 workers, dashboard: http://127.0.0.1:" in output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_local_cluster_reports_bad_videos_and_other_settings(local, tmp_path, capsys):
    for name in ("a", "b", "c"):
        make_video(tmp_path / f"videos/training/{name}.mp4", frames=20)
    (tmp_path / "videos/training/d.mp4").write_text("no video")
    given = assignments(tmp_path, "features") + [f"extractor.cache_folder={local}/cache"]
    assert feature_map_extractor.run(config.load(None, given), ["training"], local_cluster=2) == 1
    output = capsys.readouterr().out
    assert "3 videos, 60 frames" in output and "d.mp4: not a readable video" in output
    with pytest.raises(ValueError, match="precision: 'float32' there, 'bfloat16' for"):
        other = config.load(None, [*given, "extractor.precision=bfloat16"])
        feature_map_extractor.run(other, ["training"], local_cluster=1)


@pytest.mark.slow
def test_a_local_cluster_listens_on_loopback_alone_and_speaks_to_nobody_without_its_certificate():
    import psutil  # comes with Dask
    from distributed import Client, Security

    with cluster.connect(None, 1) as client:
        address = client.scheduler_info()["address"]
        plain, stranger = {"address": address.replace("tls:", "tcp:")}, {"security": Security.temporary()}
        for other in (plain, stranger):
            with pytest.raises(OSError):
                Client(**({"address": address} | other), timeout=2).close()
        assert client.submit(sum, [1, 2]).result() == 3
        assert all(worker.startswith("tls://127.0.0.1:") for worker in client.scheduler_info()["workers"])
        here = psutil.Process()
        sockets = [socket for process in (here, *here.children(recursive=True)) for socket in process.net_connections()]
        assert {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"pip install -r requirements-cluster\.txt"), cluster.connect(None, 2):
        pass


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(ValueError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler answers"):  # noqa: SIM117
        with cluster.connect("tcp://127.0.0.1:9", None):
            pass
