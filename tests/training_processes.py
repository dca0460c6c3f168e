"""Trainings in processes of their own, for tests of devices, signals and kills: `python training_processes.py …`.

The first argument is the number of CPU devices that TensorFlow shall see; the others are trainer.py's.
"""

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

import trainer
import utils

ROOT = Path(__file__).parents[1]


def start(
    arguments: list[str], devices: int = 1, task: tuple[int, list[int]] | None = None, lost_at: int = 0
) -> subprocess.Popen:
    """Start trainer.py; as worker number `task[0]` of those on loopback ports `task[1]`, where it is given.

    lost_at: the step that it is killed at, by itself: from outside it might come when all steps are taken.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    environment["LOST_AT"] = str(lost_at)
    environment.pop("TF_CONFIG", None)
    if task is not None:
        workers = [f"127.0.0.1:{port}" for port in task[1]]
        environment["TF_CONFIG"] = json.dumps(
            {"cluster": {"worker": workers}, "task": {"type": "worker", "index": task[0]}}
        )
    command = [sys.executable, __file__, str(devices), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(process: subprocess.Popen, status: int = 0, seconds: float = 600) -> str:
    """What a process wrote, which must end with `status`."""
    try:
        output, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == status, f"{process.returncode}\n{output}\n{errors}"
    return output + errors


def free_ports(count: int) -> list[int]:
    """Ports that nobody has; below those that the system gives to whoever asks for any, so that they stay free."""
    ports = range(random.randrange(10_000, 30_000), 32_768)
    return list(itertools.islice(filter(_is_free, ports), count))


def _is_free(port: int) -> bool:
    with socket.socket() as one, contextlib.suppress(OSError):
        one.bind(("127.0.0.1", port))
        return True
    return False


def lose_oneself(lost_at: int) -> None:
    """Let the training that follows end by SIGKILL when it has taken so many steps."""
    steps = trainer.TrainingLog.steps

    def counted(log: trainer.TrainingLog, step: int, *others: object) -> None:
        if step >= lost_at:
            os.kill(os.getpid(), signal.SIGKILL)
        steps(log, step, *others)

    trainer.TrainingLog.steps = counted


def losses(run: Path) -> list[float]:
    return [record["loss"] for record in utils.read_jsonl(run / "metrics.jsonl") if "loss" in record]


def weights(run: Path) -> dict[str, np.ndarray]:
    """What a run's newest checkpoint holds of model, averages, optimizer, metrics and random state."""
    import tensorflow as tf

    loaded = tf.train.load_checkpoint(str(run / "checkpoints"))
    parts = ("model", "optimizer", "averages", "train_metrics", "random_state", "best_score")
    return {key: loaded.get_tensor(key) for key in loaded.get_variable_to_shape_map() if key.startswith(parts)}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], **tolerance: float) -> None:
    assert one.keys() == other.keys() and len(one) > 10
    for key, value in one.items():
        np.testing.assert_allclose(value, other[key], err_msg=key, **({"rtol": 0, "atol": 0} | tolerance))


if __name__ == "__main__":
    count = int(sys.argv[1])
    if count > 1:
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    if lost_at := int(os.environ["LOST_AT"]):
        lose_oneself(lost_at)
    raise SystemExit(trainer.main(sys.argv[2:]))
