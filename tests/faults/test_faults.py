"""Each stage is killed a few times, and meets every other fault once: `python -m tests.faults all` does it often."""

import pytest

from faults.again import Again
from faults.conditions import CONDITIONS, inject
from faults.kills import kill_often, undisturbed
from faults.stages import STAGES


@pytest.fixture(scope="module", params=STAGES)
def stage_and_whole(request, tmp_path_factory):
    with STAGES[request.param](tmp_path_factory.mktemp(request.param) / "root") as stage:
        yield stage, undisturbed(stage)


@pytest.fixture(scope="module")
def again(stage_and_whole):
    """For the runs after a fault, which would mostly import TensorFlow; those after kills have a process each."""
    stage, _ = stage_and_whole
    if not stage.imports_tensorflow:
        yield None
        return
    with Again(stage.temporary) as process:
        yield process


@pytest.mark.slow
def test_kills_change_nothing(stage_and_whole):
    stage, whole = stage_and_whole
    times = 3 if stage.imports_tensorflow else 6
    tally = kill_often(stage, whole, times, seed=0)
    assert tally.injected == times and tally.runs and tally.lost == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", CONDITIONS)
def test_a_fault_is_told_and_gone_when_it_is_mended(stage_and_whole, again, fault):
    tally = inject(*stage_and_whole, fault, 1, seed=0, again=again)
    assert tally.injected == 1 and tally.lost == []
