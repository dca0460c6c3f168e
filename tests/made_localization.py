"""A made model (a frame's only feature is its brightness, and each class is a range of it), films of even brightness,
a server of files, and strict readers of subtitles."""

import html
import json
import re
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import numpy as np
import pytest

import config
import localize
import predictions_json
from features import preparation
from localization import trained

SAMPLED = 5  # frames a second of the made videos: 25 fps, skip_frames 5
CLASSES = ("background", "bright", "dim")
BLACK, DIM, BRIGHT = 16, 128, 240


def film(path, *spans, fps=25):
    """A video of `spans` (seconds, grey)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        number = 0
        for seconds, grey in spans:
            for _ in range(round(seconds * fps)):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, fps)
                output.mux(stream.encode(frame))
                number += 1
        output.mux(stream.encode())
    return path


def classify(features, mask):
    brightness = features[..., 0]
    bright, dim = brightness > 0.75, (brightness > 0.35) & (brightness <= 0.75)
    return np.stack([~(bright | dim), bright, dim], axis=-1).astype(np.float32)


def embed(frames):
    return frames.mean(axis=(1, 2, 3), keepdims=False)[:, None].astype(np.float32) / 255


def settings_of(*assignments):
    return config.load(None, [
        "video.skip_frames=5", "video.resize=[32, 32]", "extractor.backbone=efficientnet_lite0", "data.max_frames=4",
        "data.window_stride=2", "predict.window_stride=2", "predict.smoothing=0",
        "predict.thresholds=[0.5]", *assignments,
    ])  # fmt: skip


def model_of(**normalization):
    return predictions_json.TrainedModel(
        CLASSES, preparation.Preparation(**normalization), {}, np.zeros((len(CLASSES), 2)), classify
    )


@pytest.fixture(name="run_folder")
def made_run(tmp_path):
    """What trainer.py leaves, with a description and settings but without networks."""
    folder = tmp_path / "runs/made"
    (folder / "saved_model").mkdir(parents=True)
    (folder / "config.yml").write_text(settings_of().to_yaml())
    description = {
        "classes": CLASSES, "features": {"backbone": "efficientnet_lite0"},
        "training_data": {"version": "made set", "videos": 7, "segments": 9, "file": "annotations.json"},
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(description))
    return folder


@pytest.fixture(name="loads")
def made_loads(monkeypatch):
    """Has the made model loaded in the place of networks; lists the batch size of each load."""
    sizes = []

    def load(run, batch_size=None):
        sizes.append(batch_size)
        return trained.LoadedModel(run, model_of(), embed, (batch_size or 8, 32, 32, 3))

    monkeypatch.setattr(trained, "load", load)
    monkeypatch.setattr(localize, "load", load)
    return sizes


def spans(segments, label=None):
    return [(s.start, s.end) for s in segments if label in (None, s.label)]


@pytest.fixture(name="server")
def made_server(tmp_path):
    """Serves tmp_path/served; `/cut/…` breaks off half-way, `/page` is HTML. Its `asked` lists the paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.asked.append(self.path)
            file = tmp_path / "served" / Path(unquote(urlsplit(self.path).path)).name
            if self.path == "/page":
                self.answer(b"<html>", "text/html; charset=utf-8", 6)
            elif file.is_file():
                content = file.read_bytes()
                half = len(content) // 2 if self.path.startswith("/cut/") else None
                self.answer(content[:half], "video/mp4", len(content))
            else:
                self.send_error(404)

        def answer(self, content, kind, length):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.asked = []
    served.address = f"http://127.0.0.1:{served.server_port}"
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


TIME = r"(\d{2,}):([0-5]\d):([0-5]\d)%s(\d{3})"


def seconds_of(text, point):
    hours, minutes, seconds, milliseconds = map(int, re.fullmatch(TIME % re.escape(point), text).groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def read_cue(times, text, point):
    start, arrow, end = times.split(" ")
    start, end = seconds_of(start, point), seconds_of(end, point)
    assert arrow == "-->" and start < end and "-->" not in text
    return start, end, text


def read_srt(path):
    """Strict: blocks of number, times and one line, an empty line between; numbers count from 1."""
    text = path.read_text(encoding="utf-8")
    if not text:
        return []
    assert text.endswith("\n") and not text.endswith("\n\n")
    cues = []
    for number, block in enumerate(text[:-1].split("\n\n"), start=1):
        index, times, line = block.split("\n")
        assert index == str(number)
        cues.append(read_cue(times, line, ","))
    return cues


def read_vtt(path):
    """Strict: the signature, then blocks of times and one line whose &, < and > are escaped."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n") and not text.endswith("\n\n")
    signature, *blocks = text[:-1].split("\n\n")
    cues = []
    for block in blocks:
        times, line = block.split("\n")
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", line)
        start, end, line = read_cue(times, line, ".")
        cues.append((start, end, html.unescape(line)))
    assert signature.strip() == "WEBVTT"
    return cues
