"""The parsers on made-up files, shortly; `python -m tests.fuzz --minutes 10` does it at length."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from parsers import TARGETS, check

from features import records

# what the long runs found, as the least file that showed it
FOUND = [
    ("predictions", b'{"results":{"\\f":null}}', 2),  # a line break in an id made two lines of the error
]


@pytest.mark.parametrize("name", TARGETS)
def test_a_made_up_file_is_read_or_refused_in_one_line(tmp_path, name):
    seen = set()

    @settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TARGETS[name].contents())
    def some(content):
        seen.add(check(TARGETS[name], tmp_path / TARGETS[name].file, content))

    some()
    assert seen == {0, 2}, "files of both kinds must come up"


def test_records_after_the_last_name_the_file(tmp_path):
    files = TARGETS["features"]
    path = tmp_path / files.file
    video = records.VideoFeatures("sample", np.ones((3, 2), np.float32), np.arange(3.0), 3.0, 1.0)
    records.write_features(path, video, "float32")
    assert check(files, path, 2 * path.read_bytes()) == 2


@pytest.mark.parametrize("name", ["f4,f4", "object", "int8"])
def test_features_have_a_type_of_numbers(name):
    with pytest.raises(ValueError, match="expected float16, bfloat16 or float32"):
        records.numpy_dtype(name)


@pytest.mark.parametrize(("name", "content", "status"), FOUND)
def test_what_fuzzing_found(tmp_path, name, content, status):
    assert check(TARGETS[name], tmp_path / TARGETS[name].file, content) == status
