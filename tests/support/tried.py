"""Files through the door in a process of its own: `python tests/support/tried.py FOLDER`, or `--fuzz COUNT SEED`.

Prints a line of JSON for each file: its name, the seconds of processor time, how many megabytes the process had at most
until then, and what came of it: "picture", the sentence, or what was raised.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402

from engine import image  # noqa: E402
from engine.contract.errors import RequestError  # noqa: E402
from engine.runtime.device import configure  # noqa: E402


def tried(file: Path) -> dict[str, object]:
    started = time.process_time()
    try:
        picture = image.load(file)
        came = "picture" if bool((picture.pixels >= 0).all() and (picture.pixels <= 1).all()) else "out of range"
    except RequestError as error:
        came = str(error)
    except BaseException as error:
        came = f"raised {type(error).__name__}: {error}"
    status = Path("/proc/self/status").read_text()  # getrusage's figure begins with that of the process before exec
    most_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    return {"file": file.name, "cpu_s": time.process_time() - started, "most_mb": most_mb, "came": came}


def flipped(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Good files of all formats, each with some bytes changed."""
    from corpus import whole

    rng, good = np.random.default_rng(seed), list(whole().items())
    for k in range(count):
        name, data = good[k % len(good)]
        changed = bytearray(data)
        reach = len(data) if rng.uniform() < 0.5 else min(len(data), 300)
        for at in rng.integers(0, reach, int(rng.integers(1, 12))):
            changed[at] = int(rng.integers(256))
        yield f"{k:05d}-{name}", bytes(changed)


def main() -> int:
    """Exit status 1 where something else than a picture or a sentence came of a file."""
    import torch  # noqa: F401 (its memory is not the file's)

    configure()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1] == "--fuzz":
            files: Iterator[Path] = (
                _written(Path(folder), name, data) for name, data in flipped(int(sys.argv[2]), int(sys.argv[3]))
            )
        else:
            files = iter(sorted(Path(sys.argv[1]).iterdir()))
        for file in files:
            found = tried(file)
            wrong += not _is_well(str(found["came"]))
            print(json.dumps(found), flush=True)
    return int(wrong > 0)


def _written(folder: Path, name: str, data: bytes) -> Path:
    for file in folder.iterdir():
        file.unlink()
    (folder / name).write_bytes(data)
    return folder / name


def _is_well(came: str) -> bool:
    return came == "picture" or (came.endswith(".") and "\n" not in came and not came.startswith("raised "))


if __name__ == "__main__":
    sys.exit(main())
