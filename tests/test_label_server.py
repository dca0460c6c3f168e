"""label.py's server: who may ask and who may write, ranges of videos, conflicts, suggestions, teaching."""

import json

import numpy as np
import pytest
from labelling_server import OLD, action, make_folder, post, request, served

import label
from labelling import teaching
from prediction import score_file


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


@pytest.fixture
def server(folder, tmp_path):
    with served(folder, tmp_path / "annotations.json") as (address, desk):
        yield address, desk


def an_edit(name="v0", version=0, **change):
    return {"video": name, "version": version, "change": change or {"add": [action(0, 1)]}}


def test_an_edit_from_the_page_is_saved(server, tmp_path):
    address, desk = server
    origin = address.split("/t0ken")[0]
    status, body = post(address, "edit", an_edit(), Origin=origin, **{"Sec-Fetch-Site": "same-origin"})
    assert status == 200 and json.loads(body) == {"version": 1, "status": "in work", "counts": {"jump": 1}}
    desk.labels.save()
    entry = json.loads((tmp_path / "annotations.json").read_text())["database"]["v0"]
    assert entry["annotations"] == [action(0, 1)] and entry["duration"] == 2.0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},  # what a form of another site may send
        {"Content-Length": str(1 << 40)},
    ],
)
def test_strangers_do_not_write(server, headers):
    address, desk = server
    status, _ = post(address, "edit", an_edit(), **headers)
    assert status == 403
    assert desk.labels.status("v0") == "not begun"


@pytest.mark.parametrize("token", ["", "t0ke", "t0ken0", "T0KEN", "%74%30"])
def test_without_the_token_nothing_is_told(server, token):
    address, _ = server
    for path in ("", "state", "media/v0", "files/page.css"):
        assert request(address, path=path, token=token)[0] == 403
    assert request(address, "POST", "edit", body=json.dumps(an_edit()).encode(), token=token)[0] == 403


@pytest.mark.parametrize("path", ["state", "media/v0"])
def test_a_foreign_host_is_told_nothing(server, path):
    assert request(server[0], path=path, headers={"Host": "evil.example"})[0] == 403


@pytest.mark.parametrize(
    "path",
    ["media/../annotations.json", "media/..%2fannotations.json", "media/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
     "media//etc/passwd", "media/v0.mp4", "files/../server.py", "files/..%2fserver.py", "files/%2fetc%2fpasswd",
     "media/..", "files/server.py"],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(server, tmp_path, path):
    (tmp_path / "annotations.json").write_text('{"database": {}}')
    assert request(server[0], path=path)[0] == 404


def test_unknown_videos_are_refused(server):
    address, _ = server
    for name in ("../v0", "/etc/passwd", "none", None):
        status, body = post(address, "edit", an_edit(name))
        assert status == 400 and b"there is none of this name" in body
    assert request(address, path="open?video=../v0")[0] == 400


def test_broken_questions_are_told_not_raised(server):
    address, _ = server
    for body in (b"{", b"[]", b"7", b"{}", b'{"video": "v0"}', b'{"video": "v0", "version": 0, "change": 3}'):
        assert request(address, "POST", "edit", body=body)[0] == 400


def test_the_page_asks_for_nothing_elsewhere(server):
    status, headers, body = request(server[0], path="")
    assert status == 200 and b"<title>label</title>" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"  # the token stays here
    assert b"http" not in body.replace(b"<!doctype html>", b"")


def test_videos_are_given_in_ranges(server, folder):
    address, _ = server
    whole = (folder / "v0.mp4").read_bytes()
    status, headers, body = request(address, path="media/v0", headers={"Range": "bytes=10-19"})
    assert status == 206 and body == whole[10:20]
    assert headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert request(address, path="media/v0", headers={"Range": "bytes=-5"})[2] == whole[-5:]
    assert request(address, path="media/v0", headers={"Range": f"bytes={len(whole)}-"})[0] == 416
    status, headers, body = request(address, path="media/v0")
    assert (status, body, headers["accept-ranges"]) == (200, whole, "bytes")


def test_what_browsers_cannot_play_is_given_as_a_copy(server):
    address, desk = server
    told = json.loads(request(address, path=f"open?video={OLD}")[2])
    assert not told["ready"] and told["frames"] == {"rate": 10.0, "count": 80}
    desk.workshop.wait()
    told = json.loads(request(address, path=f"progress?video={OLD}")[2])
    assert told["ready"] and told["shots"] == [] and told["late"] == 0
    assert request(address, path=f"media/{OLD}")[2][4:8] == b"ftyp"


def test_two_tabs_do_not_overwrite_each_other(server):
    address, desk = server
    assert post(address, "edit", an_edit())[0] == 200
    status, body = post(address, "edit", an_edit(add=[action(5, 6)]))
    assert (status, json.loads(body)) == (409, {"conflict": "video"})
    assert len(desk.labels.video("v0")["annotations"]) == 1
    assert json.loads(request(address, path="progress?video=v0")[2])["version"] == 1


def test_a_file_changed_meanwhile_is_noticed(server, tmp_path):
    address, desk = server
    post(address, "edit", an_edit())
    desk.labels.save()
    file = tmp_path / "annotations.json"
    file.write_text(file.read_text().replace("jump", "theirs"))
    assert json.loads(request(address)[2])["changed"]
    assert post(address, "edit", an_edit(version=1)) == (409, b'{"conflict":"file"}')
    status, body = post(address, "resolve", {"keep": "file"})
    assert status == 200 and not json.loads(body)["changed"] and json.loads(body)["classes"] == ["theirs"]


def test_classes_are_added_and_renamed(server):
    address, _ = server
    post(address, "edit", an_edit())
    assert json.loads(post(address, "class", {"new": "run"})[1])["classes"] == ["jump", "run"]
    assert json.loads(post(address, "class", {"old": "jump", "new": "hop"})[1])["classes"] == ["hop", "run"]
    assert post(address, "class", {"new": "hop"})[0] == 400


def test_a_run_suggests_segments_and_an_order(folder, tmp_path):
    run = tmp_path / "run"
    scores = [
        (name, np.tile(row, (4, 1)), np.linspace(0, 2, 5)) for name, row in (("v0", [1, 0, 0]), ("v1", [0, 1, 0]))
    ]
    score_file.write_scores(run / "scores_training.npz", ["background", "jump", "run"], scores)
    results = {"v1": [action(0, 1, score=0.2), action(1, 2, score=0.9)]}
    (run / "predictions_training.json").write_text(json.dumps({"results": results}))
    with served(folder, tmp_path / "annotations.json", suggest=run) as (address, _):
        videos = {video["id"]: video for video in json.loads(request(address)[2])["videos"]}
        assert [videos[name]["rank"] for name in ("v0", "v1", OLD)] == [1, 0, None]
        assert videos["v1"]["suggested"] and not videos["v0"]["suggested"]
        told = json.loads(request(address, path="open?video=v1")[2])
        assert [suggestion["score"] for suggestion in told["suggestions"]] == [0.9, 0.2]
        assert post(address, "edit", an_edit("v1", reject=[action(1, 2)]))[0] == 200
        assert json.loads(request(address, path="open?video=v1")[2])["rejected"] == [action(1, 2)]


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """In the place of the pipeline, scripts that write down how they were called; predictions come out of it."""
    project = tmp_path / "project"
    project.mkdir()
    code = (
        "import json, pathlib, sys\n"
        "settings = dict(a.split('=', 1) for a in sys.argv if a.startswith('paths.'))\n"
        "pathlib.Path('CALLS').open('a').write(json.dumps([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]) + '\\n')\n"
        "print('at work')\n"
        "run = pathlib.Path(settings['paths.model_dir'])\n"
        "run.mkdir(parents=True, exist_ok=True)\n"
        "names = list(json.loads(pathlib.Path(settings['paths.json_data_path']).read_text())['database'])\n"
        "found = {n: [{'segment': [0, 1], 'label': 'jump', 'score': 0.5}] for n in names}\n"
        "(run / 'predictions_training.json').write_text(json.dumps({'results': found}))\n"
    ).replace("CALLS", str(tmp_path / "calls"))
    for name in ("feature_map_extractor.py", "trainer.py", "predictions_json.py"):
        (project / name).write_text(code)
    monkeypatch.setattr(teaching, "PROJECT", project)
    return tmp_path / "calls"


def taught(desk):
    desk.teacher._thread.join()
    return desk.teacher.state()


def test_teaching_trains_on_what_is_finished_and_suggests_for_the_rest(server, scripts, tmp_path):
    address, desk = server
    assert post(address, "teach", {}) == (
        400,
        b'{"error":"no training video is finished yet: finish some, and teach then"}',
    )
    training = [name for name, video in desk.videos.items() if video.subset == "training"]
    post(address, "edit", an_edit(training[0]))
    post(address, "edit", an_edit(training[0], 1, status="finished"))
    assert post(address, "teach", {})[0] == 200
    state = taught(desk)
    assert (state["running"], state["step"], state["error"]) == (False, "learnt", "")
    assert state["lines"][0] == "at work"
    calls = [json.loads(line) for line in scripts.read_text().splitlines()]
    assert [call[0] for call in calls][:3] == ["feature_map_extractor.py", "trainer.py", "predictions_json.py"]
    assert f"paths.json_data_path={tmp_path / 'annotations.json'}" in calls[1] and "--fresh" in calls[1]
    asked = json.loads((tmp_path / "annotations.labelling/unlabelled.json").read_text())["database"]
    assert set(asked) == set(desk.videos) - {training[0]}
    link = tmp_path / f"annotations.labelling/videos/training/{desk.videos[training[0]].path.name}"
    assert link.resolve() == desk.videos[training[0]].path.resolve()
    other = sorted(asked)[0]
    assert json.loads(request(address, path=f"open?video={other}")[2])["suggestions"][0]["score"] == 0.5


def test_a_script_that_fails_is_told(server, scripts, tmp_path):
    address, desk = server
    (tmp_path / "project/trainer.py").write_text("import sys\nprint('no memory')\nsys.exit(2)\n")
    name = next(name for name, video in desk.videos.items() if video.subset == "training")
    post(address, "edit", an_edit(name))
    post(address, "edit", an_edit(name, 1, status="finished"))
    post(address, "teach", {})
    state = taught(desk)
    assert "training: trainer.py ended with status 2" in state["error"] and state["lines"][-1] == "no memory"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], "expected a folder of videos"),
        (["videos", "--port", "TAKEN"], "cannot be had: Address already in use"),
        (["videos", "--suggest", "no"], "no: "),
        (["videos", "--set", "x.y=1"], "unknown"),
    ],
)
def test_wrong_arguments_are_one_line(folder, tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    with label.listening(0) as taken:
        port = str(taken.getsockname()[1])
        arguments = [port if argument == "TAKEN" else argument for argument in arguments]
        assert label.main([*arguments, "--no-browser"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error


def test_annotations_lie_beside_a_folder_of_that_name(tmp_path):
    assert label.annotation_file(tmp_path / "videos") == tmp_path / "annotations.json"
    assert label.annotation_file(tmp_path / "films") == tmp_path / "films/annotations.json"
