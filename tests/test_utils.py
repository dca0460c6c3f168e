"""Atomic files, JSON Lines that survive a kill, safe names and exit statuses."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import command_line
import utils

ROOT = Path(__file__).parents[1]


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "a.json"
    utils.write_json(path, {"x": 1})
    with pytest.raises(ValueError):
        utils.write_json(path, {"x": float("nan")})
    assert utils.read_json(path) == {"x": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(os.fstat(file).st_ino), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("named"), replace(*paths)))
    utils.write_json(tmp_path / "a.json", 1)
    assert done == [(tmp_path / "a.json").stat().st_ino, "named"]


def test_leftovers_of_the_dead_go_and_files_in_work_stay(tmp_path):
    (tmp_path / ".a.xyz.part.json").write_text("half")
    with utils.atomic_path(tmp_path / "b.json") as temporary:
        temporary.write_text("{}")
        assert utils.remove_temporary_files(tmp_path) == 1
        assert temporary.exists()
    assert os.listdir(tmp_path) == ["b.json"]


def test_a_write_takes_away_what_was_left_of_its_file_only(tmp_path):
    for name in (".a.12345678.part.json", ".b.12345678.part.json", ".a.12345678.part.html", ".a.notes"):
        (tmp_path / name).write_text("half")
    utils.write_json(tmp_path / "a.json", 1)
    assert sorted(os.listdir(tmp_path)) == [".a.12345678.part.html", ".a.notes", ".b.12345678.part.json", "a.json"]


def test_leftover_folders_go_as_well(tmp_path):
    (tmp_path / ".model.12345678.part/inner").mkdir(parents=True)
    (tmp_path / ".model.12345678.part.old").mkdir()
    assert utils.remove_temporary_files(tmp_path) == 2 and not os.listdir(tmp_path)


def test_a_held_folder_is_refused_until_it_is_let_go(tmp_path):
    with (
        utils.held(tmp_path / "run", "training"),
        pytest.raises(ValueError, match="run: another training works in this folder"),
        utils.held(tmp_path / "run", "training"),
    ):
        pass
    with utils.held(tmp_path / "run", "training"):
        pass


def test_a_full_disk_is_told_with_the_file(tmp_path, capsys):
    def fill():
        with utils.atomic_path(tmp_path / "a.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert command_line.run_script(fill) == 2
    assert f"No space left on device: '{tmp_path / 'a.json'}'" in capsys.readouterr().err


def test_a_folder_is_replaced_whole(tmp_path):
    for text in ("old", "new"):
        with utils.atomic_folder(tmp_path / "model") as temporary:
            (temporary / text).write_text(text)
    assert os.listdir(tmp_path) == ["model"] and os.listdir(tmp_path / "model") == ["new"]
    with pytest.raises(KeyError), utils.atomic_folder(tmp_path / "model"):
        raise KeyError
    assert os.listdir(tmp_path) == ["model"] and os.listdir(tmp_path / "model") == ["new"]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"{", "not a JSON"),
        (b"\xff\xfe{", "not a JSON"),
        (b"", "not a JSON"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b"9" * 5000, "not a JSON"),
    ],
)
def test_bad_json_names_the_file(tmp_path, content, part):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match="x.json") as caught:
        utils.read_json(tmp_path / "x.json")
    assert part in str(caught.value)


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert utils.read_json(tmp_path / "x.json") == {"a": 1}


def test_an_unfinished_last_line_is_passed_over(tmp_path):
    path = tmp_path / "m.jsonl"
    assert utils.read_jsonl(path) == []
    utils.append_jsonl(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": ')
    assert utils.read_jsonl(path) == [{"step": 1}]
    path.write_text("{bad\n")
    with pytest.raises(ValueError, match="m.jsonl:1"):
        utils.read_jsonl(path)


@pytest.mark.parametrize("name", ["-abc", "_x", "v_1-2", "Zürich", "a.b"])
def test_names_that_can_be_files(name):
    assert utils.require_safe_name(name, "id") == name


@pytest.mark.parametrize("name", ["", "..", "../x", "/x", "a/b", "a\\b", "a\0", "a\nb", "x" * 300, ".hidden", None, 5])
def test_names_that_could_leave_the_folder(name):
    with pytest.raises(ValueError, match="ids.json: expected an id"):
        utils.require_safe_name(name, "ids.json")


def test_a_users_error_is_one_line_and_status_2(capsys):
    def fail():
        raise ValueError("file.json: bad")

    assert command_line.run_script(fail) == 2
    assert capsys.readouterr().err == "error: file.json: bad\n"


def test_a_bug_keeps_its_traceback():
    def fail():
        raise KeyError("bug")

    with pytest.raises(KeyError):
        command_line.run_script(fail)


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_enough_is_no_error(lines):
    work = f"lambda: [print('line') for _ in range({lines})] and 0"
    code = f"import command_line; raise SystemExit(command_line.run_script({work}))"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_another_broken_pipe_is_an_error(capsys):
    def run():
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    assert command_line.run_script(run) == 2
    assert "Broken pipe" in capsys.readouterr().err


def test_status_passes_through():
    assert command_line.run_script(lambda: 1) == 1
    assert command_line.run_script(lambda: None) == 0


def test_what_is_not_ours_is_neither_followed_nor_waited_for(tmp_path):
    other = tmp_path / "other"
    other.write_text("somebody's")
    folder = tmp_path / "ours"
    folder.mkdir()
    for name in (".lock", "metrics.jsonl", ".x.12345678.part", ".y.12345678.part"):
        (folder / name).symlink_to(other)
    (folder / ".f.12345678.part").symlink_to(tmp_path)
    os.mkfifo(folder / ".p.12345678.part")
    with pytest.raises(ValueError, match=r"\.lock: expected a file of ours, received a link"), utils.held(folder, "x"):
        pass
    with pytest.raises(ValueError, match=r"metrics\.jsonl: expected a file of ours, received a link"):
        utils.append_jsonl(folder / "metrics.jsonl", {})
    assert utils.remove_temporary_files(folder) == 0 and len(os.listdir(folder)) == 6
    assert other.read_text() == "somebody's"
    for path in (folder / ".lock", folder / "metrics.jsonl"):
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(ValueError, match="expected a file of ours, received a link or pipe"), utils.held(folder, "x"):
        pass
    with pytest.raises(ValueError, match="expected a file of JSON lines, received a pipe or device"):
        utils.read_jsonl(folder / "metrics.jsonl")


def test_a_link_in_place_of_a_folder_of_ours_goes_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a").write_text("somebody's")
    for target in ("other", "nowhere"):
        (tmp_path / "model").symlink_to(tmp_path / target)
        with utils.atomic_folder(tmp_path / "model") as temporary:
            (temporary / "b").write_text("ours")
        assert os.listdir(tmp_path / "model") == ["b"] and not (tmp_path / "model").is_symlink()
        utils.delete(tmp_path / "model")
    (tmp_path / "model").symlink_to(tmp_path / "other")
    utils.delete(tmp_path / "model")
    assert os.listdir(tmp_path) == ["other"] and (tmp_path / "other/a").read_text() == "somebody's"


def test_a_lock_is_not_emptied(tmp_path):
    (tmp_path / ".lock").write_text("a user's file of that name")
    with utils.held(tmp_path, "x"):
        assert (tmp_path / ".lock").read_text() == "a user's file of that name"


@pytest.mark.parametrize(
    "line", [b"\xff", b"[" * 100_000, b"1" * 5000, b"[]", b"3", b'{"a": 1} {"b": 2}'], ids=lambda line: line[:9]
)
def test_a_line_that_is_none_is_named(tmp_path, line):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(ValueError, match=r"m\.jsonl:2: (not a JSON line|expected a JSON object)"):
        utils.read_jsonl(path)


def test_keys_given_twice_are_found_in_one_pass():
    class Name(str):
        compared = 0

        def __eq__(self, other):
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [Name(f"key {number}") for number in range(2000)]
    with pytest.raises(ValueError, match="the key 'key 0' is given twice"):
        utils._unique_keys([(name, 0) for name in [*names, Name("key 0")]])
    assert Name.compared <= 10
