"""A training that a signal stopped, or that was killed in a save, ends as one that never was; what may be taken up."""

import os
import re
import shutil
import signal
import time

import pytest
from made_features import SETTINGS, made_settings, make_data_set
from training_processes import assert_same, finished, losses, start, weights

import trainer
import utils
from run_folder import load_saved_model
from training.evaluation import Evaluation
from training.stopping import StopRequested, StopSignals

# short windows, whose graphs are soon traced
EVERY = (
    "train.save_checkpoints_steps=10", "train.steps_per_call=4", "train.ema_decay=0.9", "data.max_frames=6",
    "train.pictures=0", "predict.subset=testing",
)  # fmt: skip


def arguments(folder, run, *assignments):
    chosen = [f"paths.data_dir={folder}", *SETTINGS, f"paths.model_dir={run}", *EVERY, *assignments]
    return [part for text in chosen for part in ("--set", text)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set with the run of these settings that nothing stopped."""
    folder = tmp_path_factory.mktemp("stopped")
    make_data_set(folder)
    assert trainer.main(arguments(folder, "whole")) == 0
    return folder


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_saves_at_a_step_and_the_run_goes_on_from_there(folder, monkeypatch, capsys, number, status):
    name = number.name
    run = f"by_{name}"
    steps = trainer.TrainingLog.steps

    def signalled(log, step, *others):
        steps(log, step, *others)
        if step == 24:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(trainer.TrainingLog, "steps", signalled)
    assert trainer.main(arguments(folder, run)) == status
    said = capsys.readouterr().out
    assert f"{name}: step 24 is saved in {folder / run / 'checkpoints'}" in said
    assert not (folder / run / "saved_model").exists()
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert trainer.main(["--resume", *arguments(folder, run)]) == 0
    assert losses(folder / run) == losses(folder / "whole")
    assert_same(weights(folder / run), weights(folder / "whole"))


@pytest.mark.slow
def test_a_signal_in_an_evaluation_ends_it_and_the_next_start_makes_up_for_it(folder, monkeypatch):
    evaluate = Evaluation.run

    def signalled(evaluation, check):
        if evaluation.state.step == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(evaluation, check)

    monkeypatch.setattr(Evaluation, "run", signalled)
    assert trainer.main(arguments(folder, "evaluated")) == 143
    monkeypatch.undo()
    assert trainer.main(arguments(folder, "evaluated")) == 0
    evaluations = [[{key: value for key, value in record.items() if key != "seconds"}
                    for record in utils.read_jsonl(folder / run / "metrics.jsonl") if "loss_eval" in record]
                   for run in ("evaluated", "whole")]  # fmt: skip
    assert evaluations[0] == evaluations[1] and len(evaluations[0]) == 6
    assert_same(weights(folder / "evaluated"), weights(folder / "whole"))


def test_the_second_signal_ends_at_once():
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as signals:
        signals.check()
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.number == signal.SIGINT
        with pytest.raises(StopRequested):
            signals.check()
        assert {signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)} == {signal.SIG_DFL}
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.slow
def test_a_kill_within_a_save_leaves_the_checkpoint_before(folder):
    run = folder / "killed"
    always = ("train.save_checkpoints_steps=1", "train.eval_steps=1", "train.max_steps=40")
    often = arguments(folder, "killed", *always)
    assert trainer.main(arguments(folder, "never_killed", *always)) == 0
    for wanted in (5, 12, 20):
        process = start(often)
        try:
            # a file that is being written has a name of its own: killed while one is there
            while not (kill_now := newest(run) >= wanted and any(run.glob("checkpoints/ckpt-*temp*"))):
                assert process.poll() is None, process.communicate()
                time.sleep(0)
        finally:
            process.kill()
        assert kill_now
        finished(process, status=-9)
        assert newest(run) >= wanted
    assert "resumed at step" in finished(start(["--resume", *often]))
    assert losses(run) == losses(folder / "never_killed")
    assert_same(weights(run), weights(folder / "never_killed"))


def newest(run):
    state = run / "checkpoints/checkpoint"
    found = re.match(r'model_checkpoint_path: "ckpt-(\d+)"', state.read_text()) if state.is_file() else None
    return int(found[1]) if found else 0


@pytest.mark.slow
def test_sigterm_from_outside(folder):
    process = start(arguments(folder, "outside", "train.max_steps=100000"))
    for line in process.stdout:
        if line.startswith("step"):
            process.send_signal(signal.SIGTERM)
            break
    said = finished(process, status=143)
    step = int(re.search(r"SIGTERM: step (\d+) is saved in", said)[1])
    assert newest(folder / "outside") == step


def test_resume_goes_on_only_where_there_is_something(folder, capsys):
    assert trainer.main(["--resume", *arguments(folder, "nothing")]) == 2
    assert "holds no run that --resume could go on with" in capsys.readouterr().err
    shutil.copytree(folder / "whole", folder / "no_checkpoints", ignore=shutil.ignore_patterns("ckpt*", "checkpoint"))
    assert trainer.main(["--resume", *arguments(folder, "no_checkpoints")]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        trainer.main(["--resume", "--fresh"])


def test_a_checkpoint_of_another_model_is_refused(folder):
    shutil.copytree(folder / "whole", folder / "other")
    text = (folder / "other/config.yml").read_text().replace("num_nodes: 8", "num_nodes: 4")
    (folder / "other/config.yml").write_text(text)
    chosen = made_settings(folder, "paths.model_dir=other", *EVERY, "model.num_nodes=4")
    with pytest.raises(ValueError, match=r"ckpt-60: a damaged checkpoint, or one of another model .*use --fresh"):
        trainer.run(chosen)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


DAMAGES = (cut, flip, os.unlink, empty)
ENDS = ("data-00000-of-00001", "index")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ENDS)
def test_a_damaged_checkpoint_is_named(folder, tmp_path, capsys, damage, name):
    shutil.copytree(folder / "whole", tmp_path / "run")
    damage(tmp_path / f"run/checkpoints/ckpt-60.{name}")
    assert trainer.main(["--resume", *arguments(folder, tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"error: {tmp_path / 'run/checkpoints/ckpt-60'}"), said


# what a flipped bit of saved_model.pb changes, TensorFlow does not always tell
@pytest.mark.parametrize(
    ("name", "damage"),
    [("saved_model.pb", damage) for damage in (cut, os.unlink, empty)]
    + [(f"variables/variables.{end}", damage) for end in ENDS for damage in DAMAGES],
)
def test_a_damaged_model_is_named(folder, tmp_path, damage, name):
    shutil.copytree(folder / "whole/saved_model", tmp_path / "saved_model")
    damage(tmp_path / "saved_model" / name)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'saved_model'}: a damaged model, or none")):
        load_saved_model(tmp_path / "saved_model")
