import json
import subprocess
import sys

import pytest

from conftest import REPOSITORY

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")


def test_the_notebook_is_the_scripts(tmp_path):
    made = tmp_path / "tour.ipynb"
    subprocess.run([sys.executable, REPOSITORY / "tools/make_tour", "-o", made], check=True)
    assert json.loads(made.read_text()) == json.loads((REPOSITORY / "docs/tour.ipynb").read_text())


def test_the_notebook_runs():
    import nbformat

    notebook = nbformat.read(REPOSITORY / "docs/tour.ipynb", as_version=4)
    where = {"metadata": {"path": REPOSITORY / "docs"}}
    nbclient.NotebookClient(notebook, resources=where).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code"
             for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(shown) == 5
