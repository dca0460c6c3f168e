"""How far the features of each runtime and precision are from float32, on real pictures; top-1 agreement for lite0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import config
from benchmarks.pictures import pictures
from benchmarks.tables import markdown
from extraction.openvino_network import has_native_bfloat16
from extraction.runtime import make_embed

PATHS = (("tensorflow", "bfloat16"), ("openvino", "float32"), ("openvino", "bfloat16"))


def run(folder: Path) -> dict[str, dict]:
    """Cosine and relative L2 error of each path against TensorFlow in float32: the worst and the median frame."""
    results = {}
    for backbone, weights in (("efficientnet_lite0", "imagenet"), ("inception_resnet_v2", "random")):
        frames = pictures((224, 224))
        reference = _features(backbone, weights, "tensorflow", "float32", frames)
        classes = _classes(reference) if weights == "imagenet" else None
        for runtime, precision in PATHS:
            if (runtime, precision) == ("openvino", "bfloat16") and not has_native_bfloat16():
                continue
            features = _features(backbone, weights, runtime, precision, frames)
            norms = np.linalg.norm(features, axis=1), np.linalg.norm(reference, axis=1)
            cosine = (features * reference).sum(axis=1) / (norms[0] * norms[1])
            error = np.linalg.norm(features - reference, axis=1) / norms[1]
            results[f"{backbone} ({weights}), {runtime} {precision}"] = {
                "frames": len(frames),
                "cosine": {"median": float(np.median(cosine)), "worst": float(cosine.min())},
                "relative_error": {"median": float(np.median(error)), "worst": float(error.max())},
                "top1_agreement": None if classes is None else float(np.mean(_classes(features) == classes)),
            }
    return results


def _features(backbone: str, weights: str, runtime: str, precision: str, frames: np.ndarray) -> np.ndarray:
    settings = config.load(None, [
        f"extractor.backbone={backbone}", f"extractor.weights={weights}", "video.resize=[224, 224]",
        f"extractor.runtime={runtime}", f"extractor.precision={precision}",
    ])  # fmt: skip
    embed, _ = make_embed(settings.extractor, settings.video)
    return embed(frames).astype(np.float64)


def _classes(features: np.ndarray) -> np.ndarray:
    """The most likely ImageNet class by lite0's own classifier [1280, 1000], in float64."""
    from extraction import efficientnet_lite

    tensors = efficientnet_lite.read_state_dict(efficientnet_lite.imagenet_file("efficientnet_lite0"))
    return np.argmax(features @ tensors["_fc.weight"].T.astype(np.float64) + tensors["_fc.bias"], axis=1)


def show(results: dict[str, dict]) -> str:
    """The results as a Markdown table."""
    head = "network, runtime | frames | cosine, median / worst | relative error, median / worst | same top-1 class"
    rows = []
    for name, found in results.items():
        cosine, error, same = found["cosine"], found["relative_error"], found["top1_agreement"]
        rows.append(
            f"{name} | {found['frames']} | {cosine['median']:.6f} / {cosine['worst']:.6f} | "
            f"{error['median']:.1e} / {error['worst']:.1e} | {'' if same is None else f'{same:.1%}'}"
        )
    return markdown(head, rows)
