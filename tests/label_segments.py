"""Frame labels -> segments, for tests that go from seconds to labels and back."""

import numpy as np

import segments


def labels_to_segments(labels, boundaries):
    """Runs of equal class, background aside: spans [N, 2] seconds and classes [N], in the order of time.

    labels: [T] int. boundaries: [T + 1] seconds, of `segments.frame_boundaries`.
    """
    first, end, classes = segments.label_runs(labels)
    action = classes != segments.BACKGROUND
    return np.stack([boundaries[first], boundaries[end]], axis=1)[action], classes[action]
