"""Fixtures of this folder: a context, and jobs run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from offloop import testing
from offloop.jobs.images import Transformation
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop_workers.images import transform as module
from support.files.pictures import Keep, Run


@pytest.fixture(autouse=True)
def _pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's limit of pixels, which every job sets for its process, ends with the test."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context whose root ``in`` contains the tests' pictures, and that takes the results of a loop."""
    (tmp_path / "in").mkdir()
    return testing.context(tmp_path, limits=Limits(artifacts=10_000), roots={"in": tmp_path / "in"})


@pytest.fixture
def keep(tmp_path: Path, context: JobContext) -> Keep:  # noqa: ARG001 -- it makes the folder
    """Write a picture, or bytes, under a name, and return its reference."""

    def write(name: str, content: Image.Image | bytes, **save: Any) -> str:
        path = tmp_path / "in" / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **save)
        return f"root:in/{name}"

    return write


@pytest.fixture
def run(context: JobContext, keep: Keep) -> Run:
    """Transform a picture, or bytes, and open the result."""

    def transform(source: Image.Image | bytes, form: str = "png", *, save: Any = None, **request: Any) -> Any:
        reference = keep(f"source.{form}", source, **(save or {}))
        picture = module.transform(Transformation.model_validate({"image": reference, **request}), context)
        artifact = context.artifacts[-1]
        assert artifact.size == picture.size == artifact.path.stat().st_size
        with Image.open(artifact.path) as opened:
            opened.load()
            assert opened.size == (picture.width, picture.height)
            assert getattr(opened, "n_frames", 1) == picture.frames
            copy = opened.copy()
            copy.format, copy.info = opened.format, {**opened.info, "exif_": dict(opened.getexif())}
        return picture, copy

    return transform
