"""Whether scores can be read as probabilities: of the predictions that score about 0.8, are 80 % right?

The reliability diagram and the expected calibration error of Guo et al., "On Calibration of Modern Neural Networks"
(ICML 2017), with right and wrong as average precision counts them.
"""

from __future__ import annotations

import numpy as np

from evaluation import intervals
from evaluation.subset import Evaluation, threshold_name

BINS = 10
TIOU = 0.5  # or the threshold of the protocol that is nearest to it


def reliability(scored: Evaluation) -> dict | None:
    """The diagram as JSON values; None where there is no prediction, or scores go beyond 0 to 1.

    Each bin (`above`, `to`] of equal width, the first with 0, has the number of its predictions, the mean of their
    scores and the share that is right. `error` is the mean gap between the two, over predictions; `interval` its
    interval, None for one video.
    """
    scores = scored.compared.scores
    if not len(scores) or scores.min() < 0 or scores.max() > 1:
        return None
    level = int(np.argmin(np.abs(np.array(scored.protocol.thresholds) - TIOU)))
    right, owners, videos = scored.ranked.hits[:, level], scored.ranked.predicted.videos, scored.videos["annotated"]
    if scored.ranked.counted is not None:
        scores, right, owners = (values[scored.ranked.counted[:, level]] for values in (scores, right, owners))
    edges = np.arange(1, BINS) / BINS
    place = np.searchsorted(edges, scores, side="left")
    size = max(int(owners.max(initial=0)) + 1, videos)  # videos that are not annotated come last
    each = [np.bincount(owners * BINS + place, weights, size * BINS).reshape(size, BINS)
            for weights in (None, scores, right)]  # fmt: skip
    counts, sums, hits = (values.sum(axis=0) for values in each)
    used = np.maximum(counts, 1)
    bins = [
        {"above": round(n / BINS, 6), "to": round((n + 1) / BINS, 6), "predictions": int(counts[n]),
         "score": float(sums[n] / used[n]), "right": float(hits[n] / used[n])}
        for n in range(BINS) if counts[n]
    ]  # fmt: skip
    error, interval = float(np.abs(sums - hits).sum() / max(counts.sum(), 1)), None
    if videos > 1:
        weights = intervals.with_others(intervals.draw(videos, scored.predictions), size)
        drawn = np.abs(weights @ (each[1] - each[2])).sum(axis=1) / np.maximum(weights @ each[0].sum(axis=1), 1)
        interval = intervals.of_shares(drawn, error)
    tiou = threshold_name(scored.protocol.thresholds[level])
    return {"tiou": tiou, "error": error, "interval": interval, "bins": bins}
