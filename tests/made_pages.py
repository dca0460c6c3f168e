"""Content of a small page, and the data that a page's HTML carries."""

import json
import re

from report_page import content


def a_view(name="v1", truth=(("jump", 1.0, 3.0),), predictions=(("jump", 1.0, 3.0, 0.9),), **changes):
    fields = dict(id=name, duration=10.0, file=None, truth=truth, predictions=predictions, times=None, curves=None)
    return content.VideoView(**fields | {"thumbnails": ()} | changes)


def a_page(*videos, **changes):
    fields = dict(title="run", model="A model.", videos=videos, evaluation=None, errors=None, training=None)
    return content.PageContent(**fields | changes)


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])
