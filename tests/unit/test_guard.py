"""Predictors may start processes, which end with their engine, however that ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from common.memory import MEBIBYTE, held_bytes
from consumer.engines.keeper import EngineKeeper
from consumer.engines.process import EngineLimits
from consumer.errors import EngineDiedError, EngineLostError, EngineMemoryError, EngineTimeoutError
from engine.protocol import Answer, EngineConfig, Question, Refusal, Reply
from testbed.processes import children_of, is_gone
from testbed.waiting import wait_for
from tests.examples import JOB_ID, an_image

ROOT: Final = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is a guard on Linux only")

# Has workers, and processes that leave its session and its process tree; does what the width of
# the image says.
BUSY = """
import ctypes
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import engine.inference
from work import pid_of_worker, hoard, square

HERE = Path(__file__).parent
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
decode = engine.inference.decode


def decode_or_hang(image, **options):
    decoded = decode(image, **options)
    if decoded.width == 3:
        ctypes.CDLL(None).sleep(600)
    return decoded


engine.inference.decode = decode_or_hang


def daemon():
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    os.wait()
    return int(os.read(reading, 20))


class Predictor:
    def load(self):
        self.pool = multiprocessing.Pool(2)
        apart = subprocess.Popen(SLEEP, start_new_session=True, env={})
        started = [*self.pool.map(pid_of_worker, range(8), chunksize=1), apart.pid, daemon()]
        with (HERE / "started").open("a") as file:
            print(*started, sep="\\n", file=file)

    def predict(self, images):
        match images[0].width:
            case 1:
                ctypes.string_at(0)
            case 2:
                time.sleep(600)
            case 5:
                self.pool.map(hoard, [1])
        return [[(f"sum {sum(self.pool.map(square, range(4)))}", 1.0)] for _ in images]
"""
WORK = """
import os
import time

import numpy as np


def pid_of_worker(number):
    time.sleep(0.01)
    return os.getpid()


def square(number):
    return number * number


def hoard(number):
    hoarded = [np.ones(2**22) for _ in range(64)]  # 32 MiB each
    time.sleep(600)
"""
PASSING = """
import multiprocessing

from work import square


class Predictor:
    def load(self):
        pass

    def predict(self, images):
        with multiprocessing.get_context("{method}").Pool(2) as pool:
            return [[(str(pool.map(square, range(4))), 1.0)] for _ in images]
"""
HASTY = """
import multiprocessing
import os


class Predictor:
    def load(self):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    def predict(self, images):
        for _ in range(10):
            with multiprocessing.get_context("fork").Pool(4):
                pass  # on one core its processes have hardly begun when they are ended
        return [[("all ended", 1.0)] for _ in images]
"""
LOADING = """
import os
from pathlib import Path

import numpy as np
import torch

from work import square


class Squares(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        with (Path(__file__).parent / "started").open("a") as file:
            print(os.getpid(), file=file)
        return torch.tensor(square(index))


class Predictor:
    def load(self):
        self.loader = torch.utils.data.DataLoader(
            Squares(), batch_size=2, num_workers=2, persistent_workers=True
        )

    def predict(self, images):
        return [[(str(torch.cat(list(self.loader)).tolist()), 1.0)] for _ in images]
"""
# Its workers share the memory that it had when they were forked.
SHARING = """
import multiprocessing

import numpy as np

from work import square

held = np.ones(2**25)  # 256 MiB


class Predictor:
    def load(self):
        self.pool = multiprocessing.Pool(4)
        self.pool.map(square, range(4))

    def predict(self, images):
        return [[(str(sum(self.pool.map(square, range(4)))), 1.0)] for _ in images]
"""
CRASH, HANG, DECODE_FOR_EVER, HOARD, PLAIN = 1, 2, 3, 5, 8
ONLY_KILLED: Final = """
import sys
import threading
from pathlib import Path

from tests.unit.test_guard import running, wait_until_ready

with running(Path(sys.argv[1]), None) as engine:
    wait_until_ready(engine)
    print("ready", flush=True)
    threading.Event().wait()
"""


@contextmanager
def running(folder: Path, source: str | None, **limits: float) -> Iterator[EngineKeeper]:
    """Start an engine with the model `m`; write the model first if a *source* is given."""
    home = folder / "m"
    if source is not None:
        home.mkdir()
        (home / "predictor.py").write_text(source)
        (home / "work.py").write_text(WORK)
        (home / "model.toml").write_text('predictor = "predictor:Predictor"')
    config = EngineConfig(
        models=("m",),
        models_dir=folder,
        weights_dir=folder / "weights",
        threads=1,
        lines=2,
        runtime="onnx",
        max_image_pixels=10_000,
        log_level="WARNING",
        log_format="console",
        decode_limit_s=limits.pop("decode_s", 60),
    )
    held = EngineLimits(
        start_s=200,
        job_s=limits.pop("job_s", 100),
        memory_bytes=int(limits.pop("memory_bytes", 0)),
        max_jobs=int(limits.pop("max_jobs", 0)),
    )
    with closing(EngineKeeper(config, limits=held, stopping=threading.Event())) as engine:
        engine.start()
        yield engine


def wait_until_ready(engine: EngineKeeper) -> None:
    wait_for(lambda: engine.is_ready, within_s=180)


def ask(engine: EngineKeeper, width: int = PLAIN) -> Reply:
    """Ask about an image of that width; raise the error with which it fails."""
    wait_until_ready(engine)
    [outcome] = engine.ask([Question(JOB_ID, an_image(size=(width, 1)), "m", top_k=1)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def label(reply: Reply) -> str:
    assert isinstance(reply, Answer), reply
    return reply.predictions[0].label


def started_in(folder: Path) -> list[int]:
    """Return the processes that predictors have started and recorded so far."""
    return [int(line) for line in (folder / "m" / "started").read_text().split()]


def wait_until_gone(pids: list[int]) -> None:
    assert len(set(pids)) > 1
    wait_for(lambda: all(map(is_gone, pids)), what=f"the end of {pids}")


def guard_of(engine: EngineKeeper) -> int:
    """Return the parent process of an engine."""
    return psutil.Process(engine.pid).ppid()


def kill_and_wait_for_the_next(engine: EngineKeeper) -> None:
    first = engine.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: engine.pid not in (first, None))


def test_a_predictor_may_have_a_pool_and_other_processes(tmp_path: Path) -> None:
    with running(tmp_path, BUSY) as engine:
        assert label(ask(engine)) == "sum 14"
        assert not any(map(is_gone, started_in(tmp_path)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_predictor_may_have_a_pool_for_each_image(tmp_path: Path, method: str) -> None:
    with running(tmp_path, PASSING.format(method=method)) as engine:
        assert [label(ask(engine)) for _ in range(2)] == ["[0, 1, 4, 9]"] * 2


def test_a_pool_that_is_ended_at_once_does_end(tmp_path: Path) -> None:
    with running(tmp_path, HASTY) as engine:
        assert label(ask(engine)) == "all ended"


def test_a_predictor_may_have_workers_of_a_data_loader(tmp_path: Path) -> None:
    with running(tmp_path, LOADING) as engine:
        assert [label(ask(engine)) for _ in range(2)] == ["[0, 1, 4, 9]"] * 2
        started = started_in(tmp_path)
        kill_and_wait_for_the_next(engine)
        wait_until_gone(started)

        assert label(ask(engine)) == "[0, 1, 4, 9]"
        started = started_in(tmp_path)

    wait_until_gone(started)


def test_closing_ends_all_that_an_engine_has_started(tmp_path: Path) -> None:
    with running(tmp_path, BUSY) as engine:
        wait_until_ready(engine)
        started = [*started_in(tmp_path), guard_of(engine)]

    wait_until_gone(started)


@pytest.mark.parametrize(
    ("width", "limits", "error"),
    [
        (CRASH, {}, EngineDiedError),
        (HANG, {"job_s": 4}, EngineTimeoutError),
        (HOARD, {"memory_bytes": 1024 * MEBIBYTE}, EngineMemoryError),
    ],
)
def test_what_ends_an_engine_ends_all_that_it_has_started(
    tmp_path: Path, width: int, limits: dict[str, float], error: type[EngineLostError]
) -> None:
    with running(tmp_path, BUSY, **limits) as engine:
        wait_until_ready(engine)
        started = [*started_in(tmp_path), guard_of(engine)]

        with pytest.raises(error):
            ask(engine, width)

        wait_until_gone(started)
        assert label(ask(engine)) == "sum 14"


def test_an_image_that_takes_too_long_to_decode_ends_them_too(tmp_path: Path) -> None:
    with running(tmp_path, BUSY, decode_s=2) as engine:
        wait_until_ready(engine)
        started = started_in(tmp_path)

        assert isinstance(ask(engine, DECODE_FOR_EVER), Refusal)

        wait_until_gone(started)


def test_an_engine_that_is_renewed_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path, BUSY, max_jobs=1) as engine:
        wait_until_ready(engine)
        started = started_in(tmp_path)

        assert label(ask(engine)) == "sum 14"

        wait_until_gone(started)
        assert label(ask(engine)) == "sum 14"


def test_an_engine_that_somebody_kills_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path, BUSY) as engine:
        wait_until_ready(engine)
        started = started_in(tmp_path)

        kill_and_wait_for_the_next(engine)

        wait_until_gone(started)
        assert label(ask(engine)) == "sum 14"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_an_engine_without_a_guard_ends_with_its_group(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path, BUSY, job_s=4) as engine:
        wait_until_ready(engine)
        assert engine.pid is not None
        in_group = [engine.pid, *set(started_in(tmp_path)[:8])]

        os.kill(guard_of(engine), number)
        if number == signal.SIGSTOP:
            with pytest.raises(EngineTimeoutError):
                ask(engine, HANG)

        wait_until_gone(in_group)
        wait_for(lambda: engine.pid not in (in_group[0], None))
        for pid in started_in(tmp_path)[8:10]:  # it had left the session
            os.kill(pid, signal.SIGKILL)
        assert label(ask(engine)) == "sum 14"


def test_a_consumer_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path, BUSY):
        pass  # written, not imported
    (tmp_path / "m" / "started").unlink(missing_ok=True)
    with subprocess.Popen(  # noqa: S603 (a script of this file)
        [sys.executable, "-c", ONLY_KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as consumer:
        assert consumer.stdout is not None
        assert consumer.stdout.readline() == "ready\n"
        guards = children_of(consumer.pid)
        engines = [pid for one in guards for pid in children_of(one)]
        started = started_in(tmp_path)
        assert len(set(started)) == 4

        consumer.kill()

        wait_until_gone([*started, *guards, *engines])


def test_signals_to_stop_are_passed_over_by_engine_and_guard(tmp_path: Path) -> None:
    with running(tmp_path, BUSY) as engine:
        wait_until_ready(engine)
        first = engine.pid
        assert first is not None

        for pid in (first, guard_of(engine)):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)

        assert label(ask(engine)) == "sum 14"
        assert engine.pid == first


def test_what_forked_workers_share_counts_once(tmp_path: Path) -> None:
    with running(tmp_path, SHARING, memory_bytes=640 * MEBIBYTE) as engine:
        wait_until_ready(engine)
        assert engine.pid is not None
        first, pids = engine.pid, [engine.pid, *children_of(engine.pid)]
        once = held_bytes(pids, enough=0)

        assert label(ask(engine)) == "14"
        assert engine.pid == first
        assert 256 * MEBIBYTE < once < 640 * MEBIBYTE < held_bytes(pids, enough=2**60)
