"""What a long run is said to hold, from samples; and half a minute of each stage, in which no handle is left open."""

import pytest

from benchmarks import long_run
from benchmarks.long_run import Sample


def test_growth_is_from_the_second_to_the_last_tenth():
    # 20 samples: a warm-up of 2, then 100 MB that become 103 in the end, with one peak between
    memory = [500, 500, 100, 100, *[100] * 14, 103, 103]
    memory[9] = 250
    samples = [Sample(3.0 * number, value, 7 if number != 12 else 9, 0) for number, value in enumerate(memory)]
    found = long_run.summary(samples)
    assert found["growth"] == pytest.approx(0.03) and found["minutes"] == pytest.approx(57 / 60)
    assert found["memory_mb"] == {"early": 100, "late": 103, "most": 250}
    assert found["handles"] == {"early": 7, "late": 7, "most": 9}
    table = long_run.show({"training": found | {"work": 1200}})
    assert "| training | 0.9 | 1,200 steps | 100 | 103 | +3.0% | 250 | 7 → 7 | 9 |" in table


def test_a_stage_that_ends_by_itself_is_an_error(tmp_path, monkeypatch):
    # a script that does nothing
    monkeypatch.setattr(long_run, "_training", lambda folder, minutes: (["config.py"], tmp_path / "run"))
    with pytest.raises(ValueError, match="training ended by itself"):
        long_run.run("training", tmp_path, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("part", long_run.PARTS)
def test_half_a_minute_leaves_nothing_open(tmp_path, part):
    found = long_run.run(part, tmp_path, 0.5)
    assert found["work"] and found["handles"]["late"] <= found["handles"]["early"] + 1
    # of a few warm seconds; the whole table is made by 20 minutes
    assert found["growth"] < 0.2
