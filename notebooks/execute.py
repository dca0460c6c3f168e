"""The notebooks -> the same with outputs, small enough to be committed, which a forge shows.

`python -m notebooks.execute` executes them on the demo. It needs `make demo`, and the packages of requirements-dev.txt.
"""

from __future__ import annotations

import base64
import io
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path(__file__).parent
WITHOUT = ("Colab",)  # whose output is a whole page
WIDTH, COLOURS = 640, 48  # pixels and colours that a picture keeps


def small(output: NotebookNode, root: Path = FOLDER.parent) -> NotebookNode:
    """An output of a cell with fewer pixels and colours, and without names of this machine's folders."""
    if output.output_type == "stream":
        output.text = _anywhere(output.text, root)
        return output
    data = output.data
    if "image/png" in data:
        data["image/png"] = _small_picture(data["image/png"])
        data.pop("text/plain", None)
    elif "text/plain" in data:
        data["text/plain"] = _anywhere(data["text/plain"], root)
    return output


def _anywhere(text: str, root: Path) -> str:
    text = text.replace(f"{root}/", "")
    text = re.sub(re.escape(tempfile.gettempdir()) + r"/[^/\s]+", "/tmp/folder", text)  # noqa: S108
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", text)


def _small_picture(encoded: str) -> str:
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    picture.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def execute(path: Path) -> None:
    """Execute a notebook in its folder and write it with small outputs; the standard error is left out."""
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    metadata = dict(notebook.metadata)
    resources = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(notebook, timeout=600, record_timing=False, resources=resources).execute()
    # the version of Python that executed it says nothing of the notebook
    notebook.metadata = nbformat.from_dict(metadata | {"language_info": {"name": "python"}})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            kept = [output for output in cell.outputs if output.get("name") != "stderr"]
            cell.outputs = [small(output) for output in kept]
    nbformat.write(notebook, path)
    print(f"{path.stat().st_size / 1000:6.0f} kB  {path}")


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        if path.stem not in WITHOUT:
            execute(path)
