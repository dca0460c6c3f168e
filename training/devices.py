"""`train.strategy` + TF_CONFIG -> where a training runs: one device, all of a host's, or those of several hosts.

Every replica holds the whole model and learns from its share of each batch, so that all of them together take the step
that one device would take with the whole batch. Worker 0 of several, the chief, is the only one that writes.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

MOST_PER_MESSAGE = 8  # numbers that `Devices.agree` passes on


def sum_over_replicas(value: tf.Tensor | list[tf.Tensor]) -> tf.Tensor | list[tf.Tensor]:
    """Inside a replica: the sum of what all replicas have; the value itself where there is one."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


class Devices:
    """The strategy of a training, this process' place in it, and what its processes tell each other."""

    def __init__(self, name: str = "one"):
        """Choose by `train.strategy`; with several hosts before TensorFlow does anything else.

        Raises ValueError when TF_CONFIG is missing or not what TensorFlow expects.
        """
        cluster = _cluster()
        if name == "auto":
            several = cluster and sum(len(cluster["cluster"].get(job, ())) for job in ("chief", "worker")) > 1
            name = "multi_worker" if several else "mirrored" if len(_local_devices()) > 1 else "one"
        self.worker, self.workers = 0, 1
        if name == "one":
            self.strategy = tf.distribute.get_strategy()
        elif name == "mirrored":
            self.strategy = tf.distribute.MirroredStrategy(_local_devices() or _local_devices("CPU"))
        elif name == "multi_worker":
            if cluster is None:
                raise ValueError(
                    "train.strategy multi_worker: expected the environment variable TF_CONFIG, such as "
                    '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
                )
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
            jobs, task = cluster["cluster"], cluster["task"]
            chiefs = len(jobs.get("chief", ()))
            self.workers = chiefs + len(jobs.get("worker", ()))
            self.worker = task["index"] + (chiefs if task["type"] == "worker" else 0)
        else:
            raise ValueError(f"train.strategy: expected auto, one, mirrored or multi_worker, received {name!r}")
        self.name = name
        self.replicas = self.strategy.num_replicas_in_sync
        self._sum = tf.function(self._summed, input_signature=[tf.TensorSpec((MOST_PER_MESSAGE,), tf.float64)])

    @property
    def chief(self) -> bool:
        return self.worker == 0

    @property
    def here(self) -> range:
        """The replicas of this process, of all `replicas`."""
        count = self.replicas // self.workers
        return range(self.worker * count, (self.worker + 1) * count)

    def distribute(self, dataset: tf.data.Dataset) -> Iterator:
        """An iterator over this process' batches; `dataset` yields those of each of its replicas in turn."""
        if self.replicas == 1:
            return iter(dataset)
        return iter(self.strategy.distribute_datasets_from_function(lambda _: dataset))

    def agree(self, *values: float) -> list[float]:
        """The chief's `values`, in every process; each must call it, and waits for the others."""
        return self._total(values if self.chief else [0.0] * len(values))

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process; each must call it."""
        return flag if self.workers == 1 else bool(self._total([float(flag)])[0])

    def wait(self) -> None:
        """Until all processes are here."""
        self._total([0.0])

    def _total(self, values: list[float] | tuple[float, ...]) -> list[float]:
        if self.workers == 1:
            return list(values)
        padded = np.zeros(MOST_PER_MESSAGE)
        padded[: len(values)] = values
        return self._sum(tf.constant(padded)).numpy()[: len(values)].tolist()

    def _summed(self, values: tf.Tensor) -> tf.Tensor:
        def replica(value: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group % (self.replicas // self.workers) == 0
            return sum_over_replicas(tf.where(first, value, tf.zeros_like(value)))

        return self.strategy.experimental_local_results(self.strategy.run(replica, args=(values,)))[0]


def _local_devices(kind: str = "GPU") -> list[str]:
    return [device.name for device in tf.config.list_logical_devices(kind)]


def _cluster() -> dict | None:
    """TF_CONFIG, None where there is none."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return None
    try:
        value = json.loads(text)
        if value["task"]["type"] in ("chief", "worker") and value["cluster"][value["task"]["type"]]:
            int(value["task"]["index"])
            return value
    except (ValueError, TypeError, KeyError):
        pass
    raise ValueError(
        f'TF_CONFIG: expected {{"cluster": {{"worker": [addresses]}}, "task": {{"type": "worker", "index": number}}}}, '
        f"received {text:.200}"
    )


@contextlib.contextmanager
def lost_workers_explained(workers: int) -> Iterator[None]:
    """Within it, an error that says what to do when another host is lost."""
    try:
        yield
    except tf.errors.OpError as error:
        if workers == 1:
            raise
        raise ValueError(
            f"another worker was lost ({error.message.splitlines()[0]:.200}): run all of them again with the same "
            "command; they go on from the newest checkpoint"
        ) from None
