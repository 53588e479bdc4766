"""The same bytes with another number of processors, user, folder and instruction set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from toolchain.engine import Engine
from toolchain.layout import Layout

SCRIPT = """
import hashlib, pathlib, sys
from model.train import train
from model.convert import convert
from model.dynamic_range import convert as convert_dynamic
out = pathlib.Path(sys.argv[1])
train("sine", out, epochs=4, seed=3, hidden_layers=2)
convert(out / "sine.keras", out / "data.npz", "sine", out)
convert_dynamic(out / "sine.keras", "sine", out)
for path in sorted(out.iterdir()):
    print("FILE", path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""
NAMES = {
    *("data.npz", "history.json", "sine.keras"),
    *(f"sine_{form}.tflite" for form in ("float", "int8", "dynamic")),
}

OLDER_PROCESSOR = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX2,-FMA",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3 AVX512_ICL AVX512_SPR",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
"""Keeps the libraries that choose by the processor from using what newer ones have."""

Digests = Mapping[str, str]


@pytest.fixture(scope="session")
def digests(engine: Engine, train_image: str, layout: Layout) -> Callable[..., Digests]:
    def run(
        *,
        cpus: str = "0",
        user: str = "65534:65534",
        folder: str = "/project",
        environment: Mapping[str, str] | None = None,
    ) -> Digests:
        said = engine.client.containers.run(
            train_image,
            ["/opt/venv/bin/python", "-B", "-c", SCRIPT, f"{folder}/out"],
            working_dir=folder,
            user="0:0" if engine.rootless else user,
            cpuset_cpus=cpus,
            network_mode="none",
            tmpfs={"/tmp": "exec,mode=1777", f"{folder}/out": "mode=1777"},
            volumes=[f"{layout.project / 'model'}:{folder}/model:ro"],
            environment={"HOME": "/tmp", **(environment or {})},
            remove=True,
        ).decode()
        lines = [line.split() for line in said.splitlines() if line.startswith("FILE ")]
        found = {name: digest for _, name, digest in lines}
        assert set(found) == NAMES
        return found

    return run


@pytest.fixture(scope="session")
def runs(digests: Callable[..., Digests]) -> Mapping[str, Digests]:
    last = (os.cpu_count() or 1) - 1
    settings: dict[str, dict[str, object]] = {
        "once": {},
        "on all processors": {"cpus": f"0-{last}"},
        "as another user in another folder": {"user": "1234:4321", "folder": "/srv/a b/work"},
        "on an older processor": {"environment": OLDER_PROCESSOR},
    }
    with ThreadPoolExecutor(2) as pool:
        started = {name: pool.submit(digests, **setting) for name, setting in settings.items()}
        return {name: run.result() for name, run in started.items()}


@pytest.mark.parametrize(
    "setting",
    ["on all processors", "as another user in another folder", "on an older processor"],
)
def test_every_file_has_the_same_bytes(runs: Mapping[str, Digests], setting: str) -> None:
    assert runs[setting] == runs["once"]


DIVISION = """
from model.runtime import deterministic_tensorflow
tf = deterministic_tensorflow()
import numpy as np
generator = np.random.default_rng(1)
x, y = (generator.uniform(0.1, 1.0, 4096).astype(np.float32) for _ in range(2))
divided = tf.function(lambda a, b: a / tf.sqrt(b))(x, y).numpy()
print("DIFFERENT", np.count_nonzero(divided != x / np.sqrt(y)))
"""


def test_graphs_divide_by_a_square_root_and_do_not_approximate_its_reciprocal(
    engine: Engine, train_image: str, layout: Layout
) -> None:
    said = engine.client.containers.run(
        train_image,
        ["/opt/venv/bin/python", "-B", "-c", DIVISION],
        network_mode="none",
        tmpfs={"/tmp": "exec,mode=1777"},
        volumes=[f"{layout.project / 'model'}:/project/model:ro"],
        environment={"HOME": "/tmp"},
        remove=True,
    ).decode()
    assert said.split()[-2:] == ["DIFFERENT", "0"]
