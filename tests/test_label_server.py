"""label.py's server: who may ask and who may write, ranges of videos, conflicts, suggestions, teaching."""

import dataclasses
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
    told = {"version": 1, "status": "in work", "counts": {"jump": 1}, "classes": ["jump"]}
    assert status == 200 and json.loads(body) == told
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
        # suggested ones count, and keep their keys whatever comes
        assert json.loads(post(address, "edit", an_edit(add=[action(0, 1, "a new one")]))[1])["classes"] == [
            "jump", "a new one",
        ]  # fmt: skip
        assert json.loads(request(address, path="open?video=v1")[2])["rejected"] == [action(1, 2)]


def test_the_order_follows_what_is_labelled(folder, tmp_path):
    scores = [
        (name, np.tile(row, (4, 1)), np.linspace(0, 2, 5)) for name, row in (("v0", [0, 1, 0]), ("v1", [0, 0, 1]))
    ]
    score_file.write_scores(tmp_path / "run/scores_training.npz", ["background", "jump", "run"], scores)
    (tmp_path / "run/predictions_training.json").write_text(json.dumps({"results": {}}))
    with served(folder, tmp_path / "annotations.json", suggest=tmp_path / "run") as (address, _):

        def ranks():
            return [video["rank"] for video in json.loads(request(address)[2])["videos"] if video["id"] != OLD]

        assert ranks() == [0, 1]
        # of jumps there are some now
        post(address, "edit", an_edit("v0", add=[action(0, 1)]))
        assert ranks() == [1, 0]
        post(address, "class", {"old": "jump", "new": "hop"})
        assert ranks() == [0, 1]
        post(address, "edit", an_edit("v0", 2, status="finished"))
        assert ranks() == [None, 0]


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """In the place of the pipeline, scripts that write down how they were called; predictions come out of the last."""
    project = tmp_path / "project"
    project.mkdir()
    note = (
        "import json, pathlib, sys\n"
        "script = pathlib.Path(sys.argv[0]).name\n"
        f"pathlib.Path({str(tmp_path / 'calls')!r}).open('a').write(json.dumps([script, *sys.argv[1:]]) + '\\n')\n"
        "print('at work')\n"
    )
    predict = note + (
        "settings = dict(a.split('=', 1) for a in sys.argv if a.startswith('paths.'))\n"
        "names = json.loads(pathlib.Path(settings['paths.json_data_path']).read_text())['database']\n"
        "found = {n: [{'segment': [0, 1], 'label': 'jump', 'score': 0.5}] for n in names}\n"
        f"run = pathlib.Path({str(tmp_path / 'annotations.labelling/run')!r})\n"
        "run.mkdir(parents=True, exist_ok=True)\n"
        "(run / 'predictions_training.json').write_text(json.dumps({'results': found}))\n"
    )
    run = tmp_path / "annotations.labelling/run"
    page = f"run = pathlib.Path({str(run)!r})\nrun.mkdir(parents=True)\n(run / 'report.html').touch()\n"
    for name, text in (("plan.py", note + page), ("feature_map_extractor.py", note), ("trainer.py", note)):
        (project / name).write_text(text)
    (project / "predictions_json.py").write_text(predict)
    monkeypatch.setattr(teaching.run_folder, "PROJECT", project)
    return project


def finish_two(address, desk):
    """Finish the first two videos, and make them training videos."""
    names = sorted(desk.videos)[:2]
    for name in names:
        desk.videos[name] = dataclasses.replace(desk.videos[name], subset="training")
        assert post(address, "edit", an_edit(name))[0] == 200
        assert post(address, "edit", an_edit(name, 1, status="finished"))[0] == 200
    return names


def taught(address, desk):
    assert post(address, "teach", {})[0] == 200
    desk.teacher._thread.join()
    return desk.teacher.state()


def calls(tmp_path):
    return [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]


def test_teaching_learns_what_is_finished_and_suggests_for_the_rest(server, scripts, tmp_path):
    address, desk = server
    status, body = post(address, "teach", {})
    assert status == 400 and b"fewer than 2 training videos are finished" in body
    names = finish_two(address, desk)
    state = taught(address, desk)
    assert (state["running"], state["step"], state["error"]) == (False, "learnt", "")
    assert state["page"] == str(tmp_path / "annotations.labelling/run/report.html")
    assert state["lines"] == ["at work"] * 3
    work = tmp_path / "annotations.labelling"
    assert [call[0] for call in calls(tmp_path)] == ["plan.py", "feature_map_extractor.py", "predictions_json.py"]
    assert calls(tmp_path)[0][1:3] == [str(work), "--learn"]
    assert calls(tmp_path)[1][1:3] == ["-c", str(work / "settings.yml")]
    (other,) = set(desk.videos) - set(names)
    known = json.loads((work / "annotations.json").read_text())["database"]
    assert {name: entry["annotations"] for name, entry in known.items()} == dict.fromkeys(names, [action(0, 1)])
    assert list(json.loads((work / "unlabelled/annotations.json").read_text())["database"]) == [other]
    links = {path.name: path.resolve() for path in work.glob("videos/training/*")}
    assert links == {desk.videos[name].path.name: desk.videos[name].path.resolve() for name in names}
    assert [path.stem for path in work.glob("unlabelled/videos/*/*")] == [other]
    told = json.loads(request(address, path=f"open?video={other}")[2])
    assert told["suggestions"] == [action(0, 1, score=0.5)]


def test_with_settings_of_the_users_they_are_taken(folder, scripts, tmp_path):
    with served(folder, tmp_path / "annotations.json", options=["-c", "mine.yml"]) as (address, desk):
        finish_two(address, desk)
        state = taught(address, desk)
    assert (state["error"], state["page"]) == ("", "")
    made = calls(tmp_path)
    order = ["feature_map_extractor.py", "trainer.py", "feature_map_extractor.py", "predictions_json.py"]
    assert [call[0] for call in made] == order
    assert all(call[1:3] == ["-c", "mine.yml"] for call in made)
    work = tmp_path / "annotations.labelling"
    assert "--fresh" in made[1] and f"paths.json_data_path={work / 'annotations.json'}" in made[1]
    assert f"paths.json_data_path={work / 'unlabelled/annotations.json'}" in made[3]


@pytest.mark.parametrize("alike", [True, False])
def test_features_that_suggestions_were_made_of_are_learnt_from(server, scripts, tmp_path, alike):
    address, desk = server
    name, other = finish_two(address, desk)
    work = tmp_path / "annotations.labelling"
    made = work / "made"  # where settings.yml has them
    for folder, skip in ((made, 2), (work / "unlabelled/features", 2 if alike else 4)):
        folder.mkdir(parents=True)
        (folder / "extractor.json").write_text(json.dumps({"skip_frames": skip}))
    (unlabelled,) = set(desk.videos) - {name, other}
    for video in desk.videos:
        (work / "unlabelled/features/training").mkdir(exist_ok=True)
        (work / f"unlabelled/features/training/{video}.tfrecord").write_text(video)
    (made / "training").mkdir()
    (made / f"training/{other}.tfrecord").write_text("newer")
    (work / "settings.yml").write_text(f"paths:\n  feature_map_folder: {made}\n")
    assert taught(address, desk)["error"] == ""
    there = {path.stem: path.read_text() for path in made.glob("training/*")}
    assert there == {other: "newer"} | ({name: name} if alike else {})
    left = {path.stem for path in work.glob("unlabelled/features/training/*")}
    assert left == {unlabelled, other} | (set() if alike else {name})


def test_a_script_that_fails_is_told(server, scripts):
    address, desk = server
    (scripts / "plan.py").write_text("import sys\nprint('no memory')\nsys.exit(2)\n")
    finish_two(address, desk)
    state = taught(address, desk)
    assert "learning: plan.py ended with status 2" in state["error"] and state["lines"] == ["no memory"]


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
