"""The notebooks run on the demo, draw what they promise, and are displayed by a browser."""

import base64
import re
import tempfile
from pathlib import Path

import cv2
import nbclient
import nbformat
import numpy as np
import pytest

from notebooks import execute
from notebooks import pictures as drawing

ROOT = Path(__file__).parents[1]
CHROMIUM = Path("/usr/bin/chromium")
# notebook -> changes to its parameters, and the number of its pictures
NOTEBOOKS = {
    "ScriptVideoDownload": ("COUNT = 1", 1),
    "ScriptVideoPreProcessing": ("", 1),
    "ScriptVideoProcessing": ("MIN_EXAMPLES = 2", 2),
    "ScriptImageExtraction": ("FRAMES = 7", 2),
    "ScriptTestInputFn": ("VIDEOS = 2", 2),
    "ScriptResults": ("VIDEOS = 2", 3 + 2 + 2),
    "Colab": ("", 0),
}


def read(name):
    return nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=nbformat.NO_CONVERT)


def test_all_notebooks_are_tested():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_committed_with_small_outputs(name):
    notebook, (_, count) = read(name), NOTEBOOKS[name]
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.cells[1].metadata.tags == ["parameters"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if name in execute.WITHOUT:
        assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
        return
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))  # in one go, from top to bottom
    assert outputs(notebook, "error") == [] and len(pictures(notebook)) >= count
    written = (ROOT / f"notebooks/{name}.ipynb").read_text()
    assert len(written) < 300_000
    # nobody's folders
    assert not re.search(r"/(home|root|work|Users)/|/tmp/(?!folder)", written)


def test_outputs_are_kept_small_and_of_no_machine(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 1280, 3), dtype=np.uint8)
    picture = base64.b64encode(cv2.imencode(".png", noise)[1]).decode()
    shown = nbformat.v4.new_output("display_data", {"image/png": picture, "text/plain": "<Figure>"})
    kept = execute.small(shown, tmp_path)
    assert set(kept.data) == {"image/png"} and len(kept.data["image/png"]) < len(picture) / 8
    (small,) = pictures(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[kept])]))
    assert small.shape == (150, 640, 3) and len(np.unique(small.reshape(-1, 3), axis=0)) <= execute.COLOURS
    text = f"{tmp_path}/data/a.json\n{tempfile.gettempdir()}/x1y2/b.mp4 of 127.0.0.1:4711"
    said = execute.small(nbformat.v4.new_output("stream", text=text), tmp_path)
    assert said.text == "data/a.json\n/tmp/folder/b.mp4 of 127.0.0.1:8000"
    value = execute.small(nbformat.v4.new_output("execute_result", {"text/plain": f"'{tmp_path}/c'"}), tmp_path)
    assert value.data == {"text/plain": "'c'"}


def test_what_is_missing_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(drawing.MissingError) as caught:
        drawing.open_project("configs/sample.yml", [f"paths.data_dir={tmp_path}"], needs=("annotations",))
    (line,) = caught.value._render_traceback_()
    assert line.startswith(f"missing: {tmp_path}/data/sample/annotations.json: run `make demo`")
    assert Path.cwd() == ROOT


@pytest.fixture
def made(demo):
    """The settings with which the notebooks show the demo."""
    return [f"paths.data_dir={demo / 'project'}"]


@pytest.fixture(scope="module")
def run_notebook(tmp_path_factory):
    """Execute a notebook with changed parameters, once; its kernel is this interpreter, its files are temporary."""
    from ipykernel.kernelspec import write_kernel_spec
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    folder = tmp_path_factory.mktemp("jupyter")
    write_kernel_spec(folder / "kernels/python3")
    executed = {}

    def run(name, parameters):
        if (name, parameters) not in executed:
            notebook = read(name)
            notebook.cells[1].source += "\n" + parameters
            specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")], ensure_native_kernel=False)
            kernel = AsyncKernelManager(
                kernel_spec_manager=specs, transport="ipc", connection_file=str(folder / f"{name}.json")
            )
            resources = {"metadata": {"path": str(ROOT / "notebooks")}}
            client = nbclient.NotebookClient(
                notebook, km=kernel, timeout=600, startup_timeout=300, resources=resources, allow_errors=True
            )
            client.execute(cleanup_kc=True, env={"IPYTHONDIR": str(folder / "ipython")})
            executed[name, parameters] = notebook
        return executed[name, parameters]

    return run


def outputs(notebook, kind):
    return [one for cell in notebook.cells for one in cell.get("outputs", ()) if one.output_type == kind]


def pictures(notebook):
    """The pictures [H, W, 3] of an executed notebook."""
    shown = outputs(notebook, "display_data") + outputs(notebook, "execute_result")
    files = [base64.b64decode(one.data["image/png"]) for one in shown if "image/png" in one.data]
    return [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) for file in files]


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_and_draws(name, made, run_notebook):
    changes, count = NOTEBOOKS[name]
    notebook = run_notebook(name, f"SETTINGS = {made}\n{changes}")
    assert [error.evalue for error in outputs(notebook, "error")] == []
    drawn = pictures(notebook)
    assert len(drawn) == count
    for picture in drawn:
        # a picture that went wrong is white
        assert min(picture.shape[:2]) > 100 and picture.std() > 10


@pytest.mark.slow
def test_download_notebook_shows_what_became_of_the_videos(made, run_notebook):
    notebook = run_notebook("ScriptVideoDownload", f"SETTINGS = {made}\nCOUNT = 1")
    first, second = (one.text for one in outputs(notebook, "stream") if "hours done" in one.text)
    # of the last one the server knows nothing; the second run gets another in its place
    assert "gone: http 404         0           1      1" in first
    assert "done               1           1      2" in second and "gone" not in second


@pytest.mark.slow
def test_a_notebook_stops_with_one_line(tmp_path, run_notebook):
    notebook = run_notebook("ScriptResults", f'SETTINGS = ["paths.data_dir={tmp_path}"]')
    error = outputs(notebook, "error")[0]
    assert error.ename == "MissingError"
    assert len(error.traceback) == 1 and error.traceback[0].startswith(f"missing: {tmp_path}")


def to_html(notebook):
    """A page of its own: nbconvert's lab template without what it would fetch (RequireJS, MathJax, Mermaid)."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    blocks = ("html_head_js", "html_head_js_mathjax", "html_head_js_mermaidjs")
    offline = "{% extends 'lab/index.html.j2' %}" + "".join(f"{{% block {name} %}}{{% endblock %}}" for name in blocks)
    exporter = HTMLExporter(extra_loaders=[DictLoader({"offline.html.j2": offline})], template_file="offline.html.j2")
    return exporter.from_notebook_node(notebook)[0]


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs a browser: {CHROMIUM} is not there")
def test_a_browser_displays_the_pictures(made, run_notebook, tmp_path):
    from playwright.sync_api import sync_playwright

    changes, count = NOTEBOOKS["ScriptResults"]
    page_file = tmp_path / "results.html"
    page_file.write_text(to_html(run_notebook("ScriptResults", f"SETTINGS = {made}\n{changes}")))
    options = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
               "--disable-component-update", "--disable-sync")  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        said, asked = [], []
        page.on("console", lambda message: said.append((message.type, message.text)))
        page.on("pageerror", lambda error: said.append(("error", str(error))))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        page.wait_for_load_state("load")
        widths = page.eval_on_selector_all("img", "pictures => pictures.map(picture => picture.naturalWidth)")
        browser.close()
    assert len(widths) == count and min(widths) > 100
    assert [text for kind, text in said if kind == "error"] == []
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []
