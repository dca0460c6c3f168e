"""`plan.py FOLDER --learn`, killed at one moment after the other: `python learn_processes.py FOLDER MOMENT…`

A moment is `before:PATTERN`, when a file of such a name inside the folder is whole and about to get its name, or
`after:PATTERN`, when it has it; the last run is left alone. Names of files make the moments, no clock does. Each run is
a group of processes, one for `learn` and one for the stage that is at work, and a kill reaches all. They are forks:
what stages this small wait for the longest, the import of TensorFlow, is done once.
"""

import fnmatch
import os
import signal
import sys
from pathlib import Path

import feature_map_extractor
import metrics
import plan
import predictions_json
import report
import trainer
import utils
from planning import rules, stages

SCRIPTS = {"plan.py": plan, "feature_map_extractor.py": feature_map_extractor, "trainer.py": trainer,
           "predictions_json.py": predictions_json, "metrics.py": metrics, "report.py": report}  # fmt: skip
# a short training of a small model, with checkpoints on its way
SHORT = {"train.max_steps": 20, "model.num_nodes": 8, "model.members": {"recurrent": 1, "convolutional": 0}}
CHECKPOINTS = rules.Choice("train.save_checkpoints_steps", 10, "made", "recipe")


def killed_at(folder: Path, moment: str) -> None:
    """From now on, a Python process that comes to this moment is killed with its group."""
    when, _, pattern = moment.partition(":")

    def hook(event: str, arguments: tuple) -> None:
        # Python tells of every call of this kind before it is made
        if when == "before":
            come = event == "os.rename" and fnmatch.fnmatch(os.fspath(arguments[1]), str(folder / pattern))
        else:
            come = event in ("open", "os.rename", "os.remove", "os.mkdir") and any(folder.glob(pattern))
        if come:
            os.killpg(0, signal.SIGKILL)

    sys.addaudithook(hook)


def status_of_fork(work) -> int:
    """Run `work`, which gives an exit status, in a process of its own; the status that it ended with."""
    sys.stdout.flush()
    process = os.fork()
    if not process:
        try:
            status = work()
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
            status = 99
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def learn(folder: Path, moment: str | None) -> int:
    os.setsid()
    rules.RECIPE.update(SHORT)
    rules.FOLDS = 2
    of_features = rules.of_features
    rules.of_features = lambda *measured: [*of_features(*measured), CHECKPOINTS]

    def run_stage(arguments: list[str]) -> int:
        print(f"\n$ {arguments}", flush=True)

        def stage() -> int:
            if moment:
                killed_at(folder, moment)
            return SCRIPTS[arguments[0]].main(arguments[1:])

        return status_of_fork(stage)

    stages.run_stage = run_stage
    return stages.learn(folder, ["--trials", "1"], everything=False, fresh=False)


def main() -> None:
    folder, moments = Path(sys.argv[1]), sys.argv[2:]
    utils.start_tensorflow()
    for moment in (*moments, None):
        # the pipe ends when all of a run's processes have
        reading, writing = os.pipe()
        status = status_of_fork(lambda moment=moment, writing=writing: learn(folder, moment))
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        expected = -signal.SIGKILL if moment else 0
        if status != expected:
            raise SystemExit(f"{moment or 'the last run'}: expected status {expected}, received {status}")


if __name__ == "__main__":
    main()
