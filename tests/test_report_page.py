"""What a page is made of: matches, thresholds, curves, pictures, and what stands in the HTML."""

import base64
import hashlib
import re

import av
import cv2
import numpy as np
import pytest
from made_pages import a_page, a_view, data_of
from made_videos import grey, make_sound, make_video

import report
from evaluation import matching
from prediction import score_file as scores
from report_page import rendering, verdict

EVIL = "<script>alert(1)</script>\u2028&"


# matches and thresholds


def test_scores_reach_from_0_to_1_or_further():
    assert matching.score_range(np.array([0.2, 0.4])) == (0, 1) == matching.score_range(np.zeros(0))
    assert matching.score_range(np.array([-3.0, 0.5, 7.0])) == (-3, 7)


def test_the_best_free_segment_is_taken_and_of_equal_ones_the_last():
    overlap = np.array([[0.6, 0.6], [0.9, 0.7], [0.8, 0.4], [0.49, 0.49]])
    assert matching.match(overlap, (0.5,))[:, 0].tolist() == [1, 0, -1, -1]
    assert matching.match(np.zeros((0, 2)), (0.5,))[:, 0].tolist() == []
    assert matching.match(np.zeros((2, 0)), (0.5,))[:, 0].tolist() == [-1, -1]
    assert matching.match(np.array([[0.5]]), (0.5,))[:, 0].tolist() == [0]


def test_each_threshold_keeps_its_own_account():
    # at 0.5 the second takes what is left, at 0.8 it finds nothing good enough, so that the third still finds its own
    overlap = np.array([[0.9, 0.6], [0.85, 0.55], [0.1, 0.95]])
    assert matching.match(overlap, (0.5, 0.8)).tolist() == [[0, 0], [1, -1], [-1, 1]]
    # 0 / 0 is above all, a threshold of 1 included
    assert matching.match(np.array([[1.0, np.nan], [1.0, np.nan]]), (0.5, 1.0)).tolist() == [[1, 1], [0, 0]]


def test_many_thresholds_match_as_each_alone():
    rng = np.random.default_rng(0)
    levels = np.arange(20) / 20  # more than two bytes of bits
    overlap = rng.integers(0, 21, (30, 12)) / 20
    alone = [matching.match(overlap, (level,))[:, 0] for level in levels]
    np.testing.assert_array_equal(matching.match(overlap, levels), np.stack(alone, axis=1))


def test_ranks_and_order_keep_the_file_order_of_equal_ones():
    assert matching.best_first([0.5, 0.9, 0.5, 1]).tolist() == [3, 1, 0, 2]
    assert matching.ranks(np.array([2, 0, 2, 2, 0])).tolist() == [0, 0, 1, 2, 1]


def test_a_wrong_label_takes_the_segment_from_confusion_only():
    found = matching.match_video((("jump", 0, 4),), (("run", 0, 4, 0.9), ("jump", 0, 3, 0.8)))
    assert found.own.tolist() == [-1, 0]
    assert found.any.tolist() == [0, -1]


def test_the_threshold_is_where_f1_is_highest():
    confidence, right = np.array([0.9, 0.8, 0.4, 0.3]), np.array([True, True, False, False])
    # from 0.41 to 0.80 two of two are shown and right: F1 is 1, and the middle of the steps is 0.60
    assert matching.best_threshold(confidence, right, 2) == pytest.approx(0.60)
    # scores beyond 1: steps of 0.07, of which numbers 72 to 99 show the right one only
    assert matching.best_threshold(np.array([7.0, 5.0]), np.array([True, False]), 1) == pytest.approx(85 * 0.07)
    assert matching.best_threshold(np.zeros(0), np.zeros(0, bool), 3) == pytest.approx(0.49)


def test_the_operating_point_counts_all_videos_together():
    truth = {"a": [("x", 0, 10)], "b": [("x", 0, 10), ("y", 20, 30)], "c": []}
    predictions = {"a": [("x", 0, 9, 0.9)], "b": [("x", 0, 9, 0.8), ("x", 20, 30, 0.3)], "c": [("x", 0, 9, 0.4)]}
    # from 0.41 to 0.80 two of two are right, of three
    assert matching.operating_point(truth, predictions) == pytest.approx(0.60)


def test_f1_of_nothing_at_all_is_one():
    assert matching.f1(0, 0, 0) == 1
    assert matching.f1(2, 3, 5) == pytest.approx(0.5)


def test_precision_and_recall_by_hand_and_thinned():
    curve = matching.precision_recall(np.array([0.2, 0.9, 0.5]), np.array([False, True, True]), 4)
    assert curve == [[0.25, 1.0], [0.5, 1.0], [0.5, 0.6667]]
    assert matching.precision_recall(np.zeros(0), np.zeros(0, bool), 4) == []
    right = np.random.default_rng(0).random(2000) < 0.5
    thinned = matching.precision_recall(np.linspace(1, 0, 2000), right, 1200)
    assert 100 < len(thinned) <= matching.MOST_POINTS + 1
    assert thinned[-1] == [round(right.sum() / 1200, 4), round(right.mean(), 4)]


def test_the_pages_curves_are_of_all_and_of_each_class_best_first(tmp_path):
    truth = (("jump", 1.0, 3.0), ("run", 4.0, 6.0))
    predictions = (("jump", 7.0, 9.0, 0.4), ("jump", 1.0, 3.0, 0.9), ("run", 7.0, 9.0, 0.8), ("run", 4.0, 6.0, 0.7))
    curves = rendering.page_data(a_page(a_view(truth=truth, predictions=predictions)), tmp_path)["curves"]
    # right, wrong, right, wrong; right, wrong; wrong, right
    assert curves["all"] == [[0.5, 1.0], [0.5, 0.5], [1.0, 0.6667], [1.0, 0.5]]
    assert curves["classes"] == [[[1.0, 1.0], [1.0, 0.5]], [[0.0, 0.0], [1.0, 0.5]]]


@pytest.mark.parametrize(
    "shares, sentence",
    [
        ((0.754, 0.96, 0.94, 0.92), "75 % average mAP: nearly all actions are found, few of the shown segments are "
         "wrong, and the borders are close."),
        ((0.2, 0.5, 0.5, 0.5), "20 % average mAP: about half of the actions are found, some of the shown segments are "
         "wrong, and the borders are rough."),
        ((0.0, 0.0, 0.0, 0.0), "0 % average mAP: hardly any action is found."),
    ],
)  # fmt: skip
def test_the_verdict_in_words(shares, sentence):
    assert verdict.verdict(*shares) == sentence


# score curves


@pytest.fixture
def score_file(tmp_path):
    probabilities = np.zeros((1000, 4), np.float16)
    probabilities[:, 0] = 0.7
    probabilities[500, 2] = 0.25
    np.savez(tmp_path / "scores.npz", **{
        "classes": ["background", "jump", "run", "walk"],
        "probabilities/v1": probabilities,
        "boundaries/v1": np.arange(1001) / 10,
    })  # fmt: skip
    return tmp_path / "scores.npz"


def test_curves_of_named_and_noticed_classes_thinned(score_file):
    file = scores.ScoreFile(score_file)
    times, curves = file.curves("v1", {"leap"}, {"jump": "leap", "run": "run", "walk": "walk"})
    assert set(curves) == {"leap", "run"}
    assert len(times) == len(curves["run"]) == scores.MOST_POINTS
    assert times[0] == pytest.approx(0.1) and times[-1] == pytest.approx(99.85)  # means of 2 and of 3 frames
    assert curves["run"].max() == pytest.approx(0.25 / 2)
    assert file.curves("v2", set(), {}) == (None, None)
    file.close()


def test_written_scores_are_read_at_the_centres_of_their_frames(tmp_path):
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5]], np.float32)
    scores.write_scores(tmp_path / "s.npz", ("background", "a"), [("v", probabilities, np.array([0.0, 1.0, 3.0]))])
    file = scores.ScoreFile(tmp_path / "s.npz")
    times, values = file.frames("v")
    assert file.classes == ["background", "a"]
    assert (times.tolist(), values.tolist(), values.dtype) == ([0.5, 2.0], probabilities.tolist(), np.float16)
    assert file.frames("w") is None
    file.close()


def test_another_file_is_no_score_file(tmp_path):
    (tmp_path / "scores.npz").write_text("no")
    with pytest.raises(ValueError, match=r"scores.npz: expected the scores that predictions_json.py writes"):
        scores.ScoreFile(tmp_path / "scores.npz")
    np.savez(tmp_path / "scores.npz", other=[1])
    with pytest.raises(ValueError, match="expected the scores"):
        scores.ScoreFile(tmp_path / "scores.npz")


# thumbnails


def picture(uri):
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_thumbnails_show_the_frames_of_their_times(tmp_path):
    made = report.make_thumbnails(make_video(tmp_path / "v.mp4", frames=50, size=(96, 128)), count=4, height=48)
    assert [second for second, _ in made] == [0.25, 0.75, 1.25, 1.75]
    for second, uri in made:
        assert picture(uri).shape == (48, 64, 3)
        assert picture(uri).mean() == pytest.approx(grey(int(second * 25)), abs=4)


def test_thumbnails_of_a_video_that_starts_late(tmp_path):
    times = [3000 + 40 * number for number in range(50)]
    made = report.make_thumbnails(make_video(tmp_path / "late.mkv", frames=50, times=times), count=2)
    assert [round(picture(uri).mean() / 5) for _, uri in made] == [12, 37]


def test_thumbnails_are_upright(tmp_path):
    path = tmp_path / "v.mp4"
    shown = np.zeros((48, 96, 3), np.uint8)
    shown[:, :48] = 255  # the left half, which a turn clockwise puts on top
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 96, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        output.mux(stream.encode())
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # the matrix in the track's header
    quarter_turn = (0, 0x10000, 0, -0x10000 & 0xFFFFFFFF, 0, 0, 48 << 16, 0, 0x40000000)
    data[at : at + 36] = b"".join(value.to_bytes(4) for value in quarter_turn)
    path.write_bytes(data)
    ((_, uri),) = report.make_thumbnails(path, count=1, height=80)
    assert picture(uri).shape == (80, 40, 3)
    assert picture(uri)[:35].mean() > 240 and picture(uri)[45:].mean() < 15


def test_what_is_no_video_is_named(tmp_path):
    with pytest.raises(ValueError, match="gone.mp4: expected a video file"):
        report.make_thumbnails(tmp_path / "gone.mp4")
    with pytest.raises(ValueError, match="no video stream"):
        report.make_thumbnails(make_sound(tmp_path / "sound.mp4"))


def test_a_cut_file_gives_the_pictures_before_the_cut(tmp_path):
    path = make_video(tmp_path / "v.mp4", frames=200, options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    made = report.make_thumbnails(path, count=8)
    assert 0 < len(made) <= 8
    assert all(picture(uri).shape[0] == 72 for _, uri in made)


# the page


def test_labels_ids_and_notes_are_text(tmp_path):
    view = a_view(EVIL, truth=((EVIL, 1, 3),), predictions=((EVIL, 1, 3, 0.9),))
    path = rendering.write_page(tmp_path / "page.html", a_page(view, title=EVIL, model=EVIL, notes=(EVIL,)))
    html = path.read_text()
    assert "<script>alert" not in html and html.count("<script") == 2
    assert not set("<>&\u2028") & set(rendering.to_script_json(EVIL))
    assert data_of(html)["videos"][0]["id"] == EVIL and data_of(html)["classes"] == [EVIL]


def test_the_page_asks_for_nothing_and_runs_only_its_own_script(tmp_path):
    html = rendering.write_page(tmp_path / "page.html", a_page(a_view())).read_text()
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(script) == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'; ")
    assert set(re.findall(r"https?://[^\"' ]*", html)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "innerHTML" not in script[0]


def test_videos_are_linked_relative_and_encoded(tmp_path):
    view = a_view(file=tmp_path / "videos/a b#1?&.mp4")
    data = data_of(rendering.write_page(tmp_path / "run/page.html", a_page(view)).read_text())
    assert data["videos"][0]["file"] == "../videos/a%20b%231%3F%26.mp4"
    assert data["videos"][0]["name"] == "a b#1?&.mp4"


def test_data_of_own_videos(tmp_path):
    times, curves = np.array([0.5, 1.5]), {"jump": np.array([0.1, 0.956])}
    view = a_view(truth=None, predictions=(("jump", 1, 3, 0.9), ("jump", 5, 6, 0.15)), times=times, curves=curves)
    data = data_of(rendering.write_page(tmp_path / "page.html", a_page(view)).read_text())
    assert data["verdict"] == "1 action found in 1 video, with a score of 0.20 or more." and data["threshold"] == 0.2
    assert not data["annotated"] and data["evaluation"] is None and data["curves"] is None
    (video,) = data["videos"]
    assert video["truth"] is None and video["predictions"] == [[0, 1, 3, 0.9, -1, -1], [0, 5, 6, 0.15, -1, -1]]
    assert video["times"] == [0.5, 1.5] and video["curves"] == [[0, [10, 96]]]
    page = a_page(view, threshold=0.1)
    assert rendering.page_data(page, tmp_path)["verdict"] == "2 actions found in 1 video, with a score of 0.10 or more."


def test_a_page_shows_two_actions_at_once(tmp_path):
    both = np.tile(np.array([0.1, 0.9, 0.75], np.float32), (3, 1))
    scores.write_scores(tmp_path / "s.npz", ("background", "jump", "run"), [("v1", both, np.arange(4.0))], "sigmoid")
    file = scores.ScoreFile(tmp_path / "s.npz")
    times, curves = file.curves("v1", {"jump", "run"}, {"jump": "jump", "run": "run"})
    assert file.output == "sigmoid"
    file.close()
    truth, found = (("jump", 0, 2), ("run", 1, 3)), (("jump", 0, 2, 0.9), ("run", 1, 3, 0.75), ("run", 0, 1, 0.1))
    view = a_view(duration=3.0, truth=truth, predictions=found, times=times, curves=curves)
    page = rendering.page_data(a_page(view), tmp_path)
    # both are right and the third is not: the threshold lies between
    assert page["verdict"] == "2 actions found in 1 video, with a score of 0.43 or more."
    (video,) = page["videos"]
    # the curves of both stay as they are, beyond a sum of 1
    assert video["curves"] == [[0, [90] * 3], [1, [75] * 3]]
    assert [row[:4] for row in video["predictions"][:2]] == [[0, 0, 2, 0.9], [1, 1, 3, 0.75]]


def test_a_page_without_videos(tmp_path):
    data = data_of(rendering.write_page(tmp_path / "page.html", a_page()).read_text())
    assert data["videos"] == [] and data["verdict"] == "0 actions found in 0 videos, with a score of 0.20 or more."
