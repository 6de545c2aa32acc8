"""Image processing beside libvips, in alternating rounds of one run.

``python -m bench.images`` prints CPU milliseconds and the ratio. Both read the same file of 24 megapixels, make it
1,200 pixels wide, and write a JPEG of quality 80; each in a warm process of its own. libvips uses
one thread, as a child of ours does. Run as a script with the name of one of the two, this file is that process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

WIDTH = 1200
QUALITY = 80
_PIXELS = (6000, 4000)


def main() -> None:
    """Make the picture, alternate between both, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.images", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=10, help="pictures in a round")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    from bench.venvs import python  # noqa: PLC0415 -- the process of libvips knows no bench

    peers = {"offloop": Path(sys.executable), "offloop, baseline": Path(sys.executable), "libvips": python("libvips")}
    peers["libvips, progressive"] = peers["libvips"]
    times: dict[str, list[float]] = {name: [] for name in peers}
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "photo.jpg"
        make_photo(picture)
        for _ in range(given.rounds):
            for name, interpreter in peers.items():
                times[name].append(_timed(interpreter, name, picture, given.count))
    found = {name: median(values) for name, values in times.items()}
    lines = ["| 24 MP JPEG to 1,200 px | CPU ms | to libvips |", "|---|--:|--:|"]
    lines += [f"| {name} | {value:.1f} | {value / found['libvips']:.2f} |" for name, value in found.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    if given.json:
        given.json.write_text(json.dumps({"cpu_ms": found, "rounds": times}, indent=1) + "\n")


def make_photo(path: Path) -> None:
    """A picture as cameras make them: the demo's photograph, enlarged, with grain."""
    from PIL import Image  # noqa: PLC0415 -- heavy

    with Image.open(Path(__file__).parent.parent / "server" / "offloop_server" / "demo" / "photo.jpg") as photo:
        large = photo.convert("RGB").resize(_PIXELS, Image.Resampling.BICUBIC)
    grain = Image.effect_noise(_PIXELS, 20).convert("RGB")
    Image.blend(large, grain, 0.15).save(path, quality=90)


def _timed(interpreter: Path, name: str, picture: Path, count: int) -> float:
    command = [str(interpreter), __file__, name, str(picture), str(count)]
    environment = {**os.environ, "VIPS_CONCURRENCY": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=300)  # noqa: S603 -- our own interpreters
    return float(done.stdout)


def _offloop(picture: Path, *, progressive: bool) -> Callable[[], None]:
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from offloop.jobs.images import Transformation  # noqa: PLC0415 -- only in the process that does the work
    from offloop.kinds.job_context import JobContext  # noqa: PLC0415 -- the same
    from offloop_workers.images.transform import transform  # noqa: PLC0415 -- the same

    asked = {"image": f"root:in/{picture.name}", "width": WIDTH, "quality": QUALITY, "progressive": progressive}
    request = Transformation.model_validate(asked)

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            transform(request, JobContext(job_id="bench", folder=Path(folder), roots={"in": picture.parent}))

    return work


def _libvips(picture: Path, *, progressive: bool) -> Callable[[], None]:
    import pyvips  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 -- only in its own virtualenv

    pyvips.cache_set_max(0)

    def work() -> None:
        resized = pyvips.Image.thumbnail(str(picture), WIDTH, height=10_000_000, size="down")
        with tempfile.TemporaryDirectory() as folder:
            resized.write_to_file(f"{folder}/out.jpg[Q={QUALITY}{',interlace' if progressive else ''}]")

    return work


def _process(name: str, picture: str, count: str) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        progressive = name in {"offloop", "libvips, progressive"}
        make = _offloop if name.startswith("offloop") else _libvips
        work = make(Path(picture), progressive=progressive)
        work()
        work()
        began = time.process_time()
        for _ in range(int(count)):
            work()
        spent = (time.process_time() - began) * 1000 / int(count)
    sys.stdout.write(str(spent))


if __name__ == "__main__":
    if sys.argv[1:2] and not sys.argv[1].startswith("-"):
        _process(*sys.argv[1:4])
    else:
        main()
