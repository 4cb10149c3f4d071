"""The engine answers, and what kills it harms no other job."""

import gc
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import bson
import psutil
import pytest
import structlog

from common.memory import MEBIBYTE
from common.workers import ModelState, ServedModel
from consumer.engines.keeper import EngineKeeper
from consumer.engines.process import EngineLimits, EngineProcess
from consumer.errors import (
    EngineDiedError,
    EngineMemoryError,
    EngineNotReadyError,
    EngineTimeoutError,
)
from engine.protocol import Answer, EngineConfig, Question, Refusal, Reply
from testbed.processes import is_gone, stand_still
from testbed.waiting import wait_for
from tests.examples import JOB_ID, an_image

# Does what the width of the image says, as any predictor might by accident.
PREDICTOR = """
import ctypes
import os
import signal
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
C = ctypes.PyDLL(None)  # whose functions keep the interpreter's lock


def hoard():
    hoarded = [np.ones(2**22) for _ in range(128)]  # 32 MiB each


def fork(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    (HERE / "forked").write_text(str(pid))
    return pid


def sleep_apart():
    os.setsid()
    time.sleep(40)


class Predictor:
    def load(self):
        if (HERE / "broken").exists():
            raise RuntimeError("broken meanwhile")
        self.leaked = []

    def predict(self, images):
        width = min(image.width for image in images)
        if width == 1:
            ctypes.string_at(0)
        if width == 2:
            (HERE / "hangs").touch()
            C.sleep(3600)
        if width == 3:
            raise ValueError("three is too much")
        if width == 4:
            fork(sleep_apart)
            os.kill(os.getpid(), signal.SIGSEGV)
        if width == 5:
            hoard()
        if width == 6:
            os.waitpid(fork(hoard), 0)
        if width == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        if width == 9:
            np.ones(2**44)
        if width == 10:
            fork(lambda: time.sleep(3600))
            os.kill(os.getpid(), signal.SIGSEGV)
        if width == 11:
            fork(sleep_apart)
        if width == 12:
            self.leaked.append(np.ones(2**24))  # 128 MiB
        return [[("cat", 0.75), ("dog", 0.25)] for _ in images]
"""
BROKEN = """
raise RuntimeError("no licence key")
"""
CRASHING = """
import os

class Predictor:
    def load(self):
        os._exit(3)
"""
HOARDING = """
import numpy as np

class Predictor:
    def load(self):
        hoarded = [np.ones(2**22) for _ in range(128)]  # 32 MiB each
"""
HANGING = """
import ctypes

class Predictor:
    def load(self):
        ctypes.PyDLL(None).sleep(3600)
"""
LINGERING = """
import atexit, time

class Predictor:
    def load(self):
        atexit.register(time.sleep, 3600)

    def predict(self, images):
        return [[("cat", 1.0)] for _ in images]
"""
SLOW = """
import ctypes
import time

class Predictor:
    def load(self):
        pass

    def predict(self, images):
        time.sleep(0.05 if images[0].width != 13 else 1)
        if images[0].width == 1:
            ctypes.string_at(0)
        return [[("cat", 1.0)] for _ in images]
"""
WIDE = """
class Predictor:
    def load(self):
        pass

    def predict(self, images):
        return [[(f"{image.width} of {len(images)}", 1.0)] for image in images]
"""
CURIOUS = """
import os
import sys

class Predictor:
    def load(self):
        pass

    def predict(self, images):
        with_torch = "with torch" if "torch" in sys.modules else "without torch"
        return [[(f"{os.environ['OMP_NUM_THREADS']} thread, {with_torch}", 1.0)] for _ in images]
"""
# Everything after the decoder, which hangs over some images.
_INSTALLED = """

engine.inference.decode = decode_or_hang


class Predictor:
    def load(self):
        pass

    def predict(self, images):
        return [[("cat", 1.0)] for _ in images]
"""
# Decodes as usual, except for two images, over which native code hangs: with the interpreter's lock
# released, and with it held.
DECODING = (
    """
import ctypes

import engine.inference

decode = engine.inference.decode


def decode_or_hang(image, **options):
    decoded = decode(image, **options)
    if decoded.width == 14:
        ctypes.CDLL(None).sleep(3600)
    if decoded.width == 15:
        ctypes.PyDLL(None).sleep(3600)
    return decoded
"""
    + _INSTALLED
)
# While one image is decoded, another takes the interpreter's lock and keeps it.
WAITING_FOR_THE_LOCK = (
    """
import ctypes
import threading

import engine.inference

decode = engine.inference.decode
began, held = threading.Event(), threading.Event()


def decode_or_hang(image, **options):
    decoded = decode(image, **options)
    if decoded.width == 8:
        began.set()
        held.wait(1)
    if decoded.width == 15:
        began.wait(1)
        held.set()
        ctypes.PyDLL(None).sleep(3600)
    return decoded
"""
    + _INSTALLED
)
# Returns labels that no store, log or terminal can take; the image's width says which.
TALKATIVE = r"""
import sys


class Secretive(Exception):
    def __str__(self):
        raise RuntimeError("no comment")


class MoreSecretive(Exception):
    def __str__(self):
        raise KeyboardInterrupt


class Label(str):
    def __str__(self):
        return "another"


class Predictor:
    def load(self):
        pass

    def predict(self, images):
        match images[0].width:
            case 1:
                raise ValueError("half a pair \ud800, a NUL \0, and a bell \a")
            case 2:
                raise ValueError("x" * 10_000_000)
            case 3:
                raise Secretive
            case 4:
                sys.exit("enough")
            case 5:
                labels = ["half \ud800", "NUL \0", "x" * 1_000_000, 7]
                return [list(zip(labels, [0.5, 0.25, 0.125, 0.1]))]
            case 6:
                return [[("cat", float("nan"))]]
            case 7:
                raise ExceptionGroup("several", [ValueError("one \udfff"), TypeError("two")])
            case 9:
                raise KeyboardInterrupt
            case 10:
                raise MoreSecretive
        return [[(Label("cat"), 1.0)] for _ in images]
"""
RAISING_AT_LOAD = """
class Secretive(Exception):
    def __str__(self):
        raise KeyboardInterrupt

class Predictor:
    def load(self):
        raise {raised}

    def predict(self, images):
        return []
"""
CRASH, HANG, FORK_APART_AND_CRASH, HOARD, FORK_A_HOARDER, BE_KILLED = 1, 2, 4, 5, 6, 7
ASK_TOO_MUCH, FORK_AND_CRASH, FORK_APART, LEAK, SLEEP = 9, 10, 11, 12, 13
DECODE_FOR_EVER, DECODE_WITH_THE_LOCK = 14, 15
MEMORY_LIMIT: Final = 640 * MEBIBYTE
# More than the buffers of an unread connection hold.
MUCH = bytes(4 * 1024**2)

OPEN_FILES: Final = Path("/proc/self/fd")
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only /proc tells what a process takes"
)

Start = Callable[..., EngineKeeper]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an engine with the given predictor as its one model, `m`."""
    with ExitStack() as opened:

        def start_engine(  # noqa: PLR0913 (what an engine is started with, each by its name)
            source: str,
            *,
            ready: bool = True,
            start_s: float = 200,
            job_s: float = 60,
            threads: int = 1,
            decode_s: float = 60,
            style: Literal["console", "json"] = "console",
            **limits: int,
        ) -> EngineKeeper:
            folder = tmp_path / "m"
            folder.mkdir()
            (folder / "predictor.py").write_text(source)
            (folder / "model.toml").write_text('predictor = "predictor:Predictor"')
            engine = EngineKeeper(
                EngineConfig(
                    models=("m",),
                    models_dir=tmp_path,
                    weights_dir=tmp_path / "weights",
                    threads=threads,
                    lines=2,
                    runtime="onnx",
                    max_image_pixels=10_000,
                    log_level="WARNING",
                    log_format=style,
                    decode_limit_s=decode_s,
                ),
                limits=EngineLimits(start_s=start_s, job_s=job_s, **limits),
                stopping=threading.Event(),
            )
            opened.enter_context(closing(engine))
            engine.start()
            if ready:
                wait_until_ready(engine)
            return engine

        yield start_engine


def ask(engine: EngineKeeper, asked: Question) -> Reply:
    """Ask one question; raise the error with which it fails."""
    [outcome] = engine.ask([asked])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def wait_until_ready(engine: EngineKeeper) -> None:
    wait_for(lambda: engine.is_ready, within_s=180)


def question(width: int, model: str = "m") -> Question:
    return Question(JOB_ID, an_image(size=(width, 1)), model, top_k=1)


def test_an_engine_answers_with_the_most_probable_labels(start: Start) -> None:
    engine = start(PREDICTOR)

    answer = ask(engine, question(8))

    assert isinstance(answer, Answer)
    assert [(one.label, one.probability) for one in answer.predictions] == [("cat", 0.75)]
    assert answer.inference_ms > 0
    assert [model.state for model in engine.models] == [ModelState.READY]


def test_a_predictor_is_told_its_threads_and_pays_for_no_torch_of_ours(start: Start) -> None:
    answer = ask(start(CURIOUS), question(8))

    assert isinstance(answer, Answer)
    assert answer.predictions[0].label == "1 thread, without torch"


def test_an_engine_that_crashes_says_how_and_the_next_one_answers(start: Start) -> None:
    engine = start(PREDICTOR)

    with pytest.raises(EngineDiedError, match="was killed by SIGSEGV"):
        ask(engine, question(CRASH))

    assert isinstance(ask(engine, question(8)), Answer)


def test_many_crashes_in_a_row_are_each_told_at_once(start: Start) -> None:
    engine = start(PREDICTOR, job_s=200)

    for _ in range(5):
        started_s = time.monotonic()
        with pytest.raises(EngineDiedError):
            ask(engine, question(CRASH))
        # Not only at the time limit: the next engine's pipe is not mistaken for this one's.
        assert time.monotonic() - started_s < 100


@on_linux
def test_an_engine_that_crashed_leaves_no_open_files(start: Start) -> None:
    engine = start(PREDICTOR)
    ask(engine, question(8))
    open_files = len(list(OPEN_FILES.iterdir()))

    gc.disable()  # the collector would close them, but late
    try:
        for _ in range(3):
            with pytest.raises(EngineDiedError):
                ask(engine, question(CRASH))
            ask(engine, question(8))
    finally:
        gc.enable()

    assert len(list(OPEN_FILES.iterdir())) == open_files


def test_an_engine_whose_own_children_outlive_it_is_known_to_be_dead(start: Start) -> None:
    engine = start(PREDICTOR, job_s=20)

    with pytest.raises(EngineDiedError):
        ask(engine, question(FORK_APART_AND_CRASH))

    assert isinstance(ask(engine, question(8)), Answer)


def test_an_engine_that_hangs_is_killed_and_the_next_one_answers(start: Start) -> None:
    engine = start(PREDICTOR, job_s=4)

    with pytest.raises(EngineTimeoutError, match="took longer than 4 s"):
        ask(engine, question(HANG))

    assert isinstance(ask(engine, question(8)), Answer)


@pytest.mark.parametrize("threads", [1, 2], ids=["alone", "beside"])
@pytest.mark.parametrize("width", [DECODE_FOR_EVER, DECODE_WITH_THE_LOCK])
def test_an_image_that_takes_too_long_to_decode_is_refused_and_the_others_are_answered(
    start: Start, threads: int, width: int
) -> None:
    engine = start(DECODING, decode_s=2, threads=threads)

    first, guilty, last = engine.ask([question(8), question(width), question(9)])

    assert isinstance(first, Answer)
    assert isinstance(guilty, Refusal)
    assert guilty.reason.type == "urn:darkroom:problem:image-decode-timeout"
    assert "longer than 2 s" in guilty.reason.detail
    assert isinstance(last, Answer)


@pytest.mark.parametrize("threads", [1, 2], ids=["alone", "beside"])
@pytest.mark.parametrize("width", [DECODE_FOR_EVER, DECODE_WITH_THE_LOCK])
def test_a_lane_beside_one_whose_image_hangs_is_asked_again(
    start: Start, threads: int, width: int
) -> None:
    engine = start(DECODING, decode_s=2, threads=threads)

    with ThreadPoolExecutor(max_workers=2) as lanes:
        hangs = lanes.submit(ask, engine, question(width))
        wait_for(lambda: engine.busy == 1)
        beside = lanes.submit(ask, engine, question(8))

    assert isinstance(hangs.result(), Refusal)
    assert isinstance(beside.result(), Answer)


def test_an_image_that_waited_for_the_interpreters_lock_is_not_to_blame(start: Start) -> None:
    engine = start(WAITING_FOR_THE_LOCK, decode_s=2, threads=2)

    with ThreadPoolExecutor(max_workers=2) as lanes:
        waits = lanes.submit(ask, engine, question(8))
        holds = lanes.submit(ask, engine, question(DECODE_WITH_THE_LOCK))

    assert isinstance(waits.result(), Answer)
    assert isinstance(holds.result(), Refusal)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (1, "ValueError: half a pair \N{REPLACEMENT CHARACTER}, a NUL \N{REPLACEMENT CHARACTER}"),
        (2, "ValueError: xxxxxxx"),
        (3, "its message cannot be read: RuntimeError"),
        (4, "SystemExit: enough"),
        (6, "is nan, not in 0..1"),
        (7, "ExceptionGroup: several"),
        (9, "KeyboardInterrupt"),
        (10, "its message cannot be read: KeyboardInterrupt"),
    ],
)
def test_whatever_user_code_raises_fails_its_image_alone_in_text_that_can_be_stored(
    start: Start, width: int, words: str
) -> None:
    engine = start(TALKATIVE)
    pid = engine.pid

    reply = ask(engine, question(width))

    assert isinstance(reply, Refusal)
    assert reply.reason.type == "urn:darkroom:problem:model-failed"
    assert words in reply.reason.detail
    assert len(reply.reason.detail) <= 1000
    bson.encode({"detail": reply.reason.detail})
    assert isinstance(ask(engine, question(8)), Answer)
    assert engine.pid == pid


def test_labels_of_user_code_are_text_that_can_be_stored(start: Start) -> None:
    answer = ask(start(TALKATIVE), replace(question(5), top_k=5))

    assert isinstance(answer, Answer)
    labels = [one.label for one in answer.predictions]
    assert labels[:2] == ["half \N{REPLACEMENT CHARACTER}", "NUL \N{REPLACEMENT CHARACTER}"]
    assert [len(label) <= 200 for label in labels] == [True] * 4
    assert {type(label) for label in labels} == {str}


@on_linux
def test_an_engine_that_takes_too_much_memory_is_killed_in_the_middle_of_it(start: Start) -> None:
    engine = start(PREDICTOR, memory_bytes=MEMORY_LIMIT)

    with pytest.raises(
        EngineMemoryError, match=r"reached \d+ MiB of memory, over its limit of 640"
    ):
        ask(engine, question(HOARD))

    assert isinstance(ask(engine, question(8)), Answer)


@on_linux
def test_the_memory_of_what_an_engine_forked_counts_and_ends_with_it(
    start: Start, tmp_path: Path
) -> None:
    engine = start(PREDICTOR, memory_bytes=MEMORY_LIMIT)

    with pytest.raises(EngineMemoryError):
        ask(engine, question(FORK_A_HOARDER))

    forked = int((tmp_path / "m" / "forked").read_text())
    wait_for(lambda: is_gone(forked))


def test_an_engine_that_is_refused_memory_says_so(start: Start) -> None:
    engine = start(PREDICTOR)

    with pytest.raises(EngineMemoryError, match="was refused more memory"):
        ask(engine, question(ASK_TOO_MUCH))


def test_an_engine_that_somebody_else_killed_was_most_likely_killed_for_its_memory(
    start: Start,
) -> None:
    engine = start(PREDICTOR)

    with pytest.raises(EngineDiedError, match="most likely because the system ran out of memory"):
        ask(engine, question(BE_KILLED))


@on_linux
def test_the_kernel_is_told_to_kill_the_engine_before_anything_else(start: Start) -> None:
    engine = start(PREDICTOR)

    assert Path(f"/proc/{engine.pid}/oom_score_adj").read_text() == "1000\n"


def test_what_a_crashed_engine_forked_ends_too(start: Start, tmp_path: Path) -> None:
    engine = start(PREDICTOR)

    with pytest.raises(EngineDiedError, match="was killed by SIGSEGV"):
        ask(engine, question(FORK_AND_CRASH))

    forked = int((tmp_path / "m" / "forked").read_text())
    wait_for(lambda: is_gone(forked))


@pytest.mark.parametrize("width", [8, FORK_APART])
def test_an_engine_that_does_not_read_the_question_is_killed(start: Start, width: int) -> None:
    # Also if a process that it forked keeps the connection open and cannot be found.
    engine = start(PREDICTOR, job_s=4)
    ask(engine, question(width))
    assert engine.pid is not None
    stand_still(engine.pid)

    with pytest.raises(EngineTimeoutError, match="took longer than 4 s"):
        ask(engine, Question(JOB_ID, MUCH, "m", 1))

    assert isinstance(ask(engine, question(8)), Answer)


def test_an_engine_is_renewed_after_its_number_of_jobs(start: Start) -> None:
    engine = start(PREDICTOR, max_jobs=2)
    pids = []

    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            pids.append(engine.pid)
            assert isinstance(ask(engine, question(8)), Answer)
            assert engine.models[0].is_ready
            wait_until_ready(engine)

    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 1]
    assert [(line["log_level"], line["reason"]) for line in lines] == [
        ("info", "it answered 2 questions")
    ] * 2


@on_linux
def test_an_engine_that_has_grown_is_renewed_between_two_jobs(start: Start) -> None:
    engine = start(PREDICTOR, max_resident_bytes=MEMORY_LIMIT)
    first = engine.pid
    assert first is not None

    with structlog.testing.capture_logs() as lines:
        while engine.pid == first:
            assert isinstance(ask(engine, question(LEAK)), Answer)
            wait_until_ready(engine)

    assert re.fullmatch(r"it holds \d+ MiB of memory, over 640 MiB", lines[0]["reason"])
    assert is_gone(first)


def test_an_engine_that_does_not_end_when_it_is_renewed_is_killed(start: Start) -> None:
    engine = start(LINGERING, max_jobs=1)

    assert isinstance(ask(engine, question(8)), Answer)

    assert isinstance(ask(engine, question(8)), Answer)


def test_an_engine_that_dies_while_nobody_asks_is_started_again(start: Start) -> None:
    engine = start(PREDICTOR)
    first = engine.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)

    wait_for(lambda: engine.pid not in (first, None))
    wait_until_ready(engine)
    assert isinstance(ask(engine, question(8)), Answer)


def test_a_model_that_raises_refuses_the_image_and_lives_on(start: Start) -> None:
    engine = start(PREDICTOR)
    pid = engine.pid

    refusal = ask(engine, question(3))

    assert isinstance(refusal, Refusal)
    assert refusal.reason.detail == "ValueError: three is too much"
    assert engine.pid == pid


def test_bytes_that_are_no_image_are_refused(start: Start) -> None:
    refusal = ask(start(PREDICTOR), Question(JOB_ID, b"rubbish", "m", 1))

    assert isinstance(refusal, Refusal)
    assert refusal.reason.type.endswith("image-undecodable")


def test_a_question_for_a_model_that_is_not_served_is_refused(start: Start) -> None:
    refusal = ask(start(PREDICTOR), question(8, model="other"))

    assert isinstance(refusal, Refusal)
    assert refusal.reason.type.endswith("model-unavailable")


def test_a_model_that_cannot_be_loaded_is_unavailable_with_the_reason(start: Start) -> None:
    engine = start(BROKEN, ready=False)

    wait_for(lambda: engine.models[0].state is ModelState.UNAVAILABLE, within_s=180)

    assert engine.models[0].reason == "RuntimeError: no licence key"


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("SystemExit('enough')", "SystemExit: enough"),
        ("BaseExceptionGroup('all', [KeyboardInterrupt()])", "BaseExceptionGroup: all"),
        ("Secretive", "its message cannot be read: KeyboardInterrupt"),
    ],
)
@pytest.mark.parametrize("style", ["console", "json"])
def test_whatever_a_model_raises_while_it_is_loaded_costs_that_model_alone(
    start: Start, raised: str, words: str, style: Literal["console", "json"]
) -> None:
    engine = start(RAISING_AT_LOAD.format(raised=raised), ready=False, style=style)

    wait_for(lambda: engine.models[0].state is ModelState.UNAVAILABLE, within_s=180)

    assert words in engine.models[0].reason
    assert "the engine" not in engine.models[0].reason


def test_an_engine_that_dies_over_its_start_is_reported_and_not_ready(start: Start) -> None:
    engine = start(CRASHING, ready=False)

    wait_for(lambda: engine.models[0].state is ModelState.UNAVAILABLE, within_s=180)

    assert engine.models[0].reason == "the engine ended with status 3"


@on_linux
def test_an_engine_that_takes_too_much_memory_over_its_start_is_reported(start: Start) -> None:
    engine = start(HOARDING, ready=False, memory_bytes=MEMORY_LIMIT)

    wait_for(lambda: engine.models[0].state is ModelState.UNAVAILABLE, within_s=180)

    assert re.fullmatch(
        r"the engine reached \d+ MiB of memory, over its limit of 640 MiB, and was killed",
        engine.models[0].reason,
    )


def test_an_engine_that_hangs_over_its_start_is_reported(start: Start) -> None:
    engine = start(HANGING, ready=False, start_s=5)

    wait_for(lambda: engine.models[0].state is ModelState.UNAVAILABLE, within_s=180)

    assert engine.models[0].reason == (
        "the engine took longer than 5 s to load its models and was killed"
    )


def test_an_engine_that_cannot_start_again_is_waited_for_until_it_can(
    start: Start, tmp_path: Path
) -> None:
    engine = start(PREDICTOR)
    broken = tmp_path / "m" / "broken"
    broken.touch()

    with pytest.raises(EngineDiedError):
        ask(engine, question(CRASH))
    wait_for(lambda: engine.models[0].state is ModelState.UNAVAILABLE, within_s=180)

    assert engine.models[0].reason == "RuntimeError: broken meanwhile"
    broken.unlink()
    assert isinstance(ask(engine, question(8)), Answer)
    assert engine.models[0].is_ready


def test_an_engine_is_started_again_whatever_its_start_has_raised(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start(PREDICTOR)
    errors = [KeyError(64)]

    def child(*arguments: Any) -> EngineProcess:
        if errors:
            raise errors.pop()
        return EngineProcess(*arguments)

    monkeypatch.setattr("consumer.engines.keeper.EngineProcess", child)
    with pytest.raises(EngineDiedError):
        ask(engine, question(CRASH))

    assert isinstance(ask(engine, question(8)), Answer)
    assert not errors


def test_an_engine_that_could_not_be_understood_ends_before_the_next_one_starts(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[int] = []
    wait_until_ready = EngineProcess.wait_until_ready

    def misunderstand(child: EngineProcess) -> tuple[ServedModel, ...]:
        models = wait_until_ready(child)
        if not given_up:
            given_up.append(child.pid)
            raise KeyError(64)
        return models

    monkeypatch.setattr(EngineProcess, "wait_until_ready", misunderstand)
    engine = start(PREDICTOR, ready=False)

    assert isinstance(ask(engine, question(8)), Answer)
    with pytest.raises(ProcessLookupError):
        os.kill(given_up[0], 0)


def test_nobody_waits_for_an_engine_of_a_process_that_stops(start: Start) -> None:
    engine = start(CRASHING, ready=False)
    engine.close()

    with pytest.raises(EngineNotReadyError):
        ask(engine, question(8))


def test_closing_ends_the_child_even_while_it_hangs(start: Start, tmp_path: Path) -> None:
    engine = start(PREDICTOR)
    pid = engine.pid
    assert pid is not None
    errors: list[Exception] = []

    def ask_it() -> None:
        try:
            ask(engine, question(HANG))
        except EngineDiedError as exc:
            errors.append(exc)

    asking = threading.Thread(target=ask_it)
    asking.start()
    wait_for((tmp_path / "m" / "hangs").exists)

    engine.close()

    asking.join(60)
    assert len(errors) == 1
    assert not psutil.pid_exists(pid)


def test_at_its_end_an_engine_tells_all_lanes_that_it_was_ended(
    start: Start, tmp_path: Path
) -> None:
    engine = start(PREDICTOR)

    with ThreadPoolExecutor(max_workers=2) as lanes:
        hangs = lanes.submit(outcomes, engine, HANG)
        wait_for((tmp_path / "m" / "hangs").exists)
        waits = lanes.submit(outcomes, engine, 8, 8)
        wait_for(lambda: engine.busy == 2)
        engine.close()

    assert hangs.result() == ["EngineDiedError"]
    assert set(waits.result()) <= {"EngineDiedError", "EngineNotReadyError"}


def test_closing_ends_a_child_that_does_not_read_its_question(start: Start) -> None:
    engine = start(PREDICTOR)
    assert engine.pid is not None
    stand_still(engine.pid)
    is_asked = threading.Event()
    errors: list[Exception] = []

    def ask_it() -> None:
        is_asked.set()
        try:
            ask(engine, Question(JOB_ID, MUCH, "m", 1))
        except (EngineDiedError, EngineNotReadyError) as exc:  # if it was closed first
            errors.append(exc)

    asking = threading.Thread(target=ask_it)
    asking.start()
    is_asked.wait()

    engine.close()

    asking.join(60)
    assert len(errors) == 1


def outcomes(engine: EngineKeeper, *widths: int) -> list[str]:
    """Ask questions at the same time; return the kind of each outcome."""
    asked = [question(width) for width in widths]
    return [type(outcome).__name__ for outcome in engine.ask(asked)]


def test_questions_asked_together_are_answered_in_their_order(start: Start) -> None:
    engine = start(WIDE)

    answers = engine.ask([question(20), question(30, "other"), question(10)])

    labels = [a.predictions[0].label if isinstance(a, Answer) else "none" for a in answers]
    assert labels == ["20 of 2", "none", "10 of 2"]


def test_only_the_question_that_crashed_the_engine_is_told_of_it(start: Start) -> None:
    engine = start(PREDICTOR)

    assert outcomes(engine, 8, CRASH, 8) == ["Answer", "EngineDiedError", "Answer"]


def test_only_the_question_that_hung_is_told_of_it(start: Start) -> None:
    engine = start(PREDICTOR, job_s=4)

    assert outcomes(engine, 8, HANG) == ["Answer", "EngineTimeoutError"]


def test_a_bad_image_fails_alone(start: Start) -> None:
    engine = start(PREDICTOR)
    asked = [question(8), Question(JOB_ID, b"rubbish", "m", 1), question(8)]

    assert [type(outcome) for outcome in engine.ask(asked)] == [Answer, Refusal, Answer]


def test_an_image_that_the_model_cannot_take_fails_alone(start: Start) -> None:
    assert outcomes(start(PREDICTOR), 8, 3, 8) == ["Answer", "Refusal", "Answer"]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_crash_in_one_lane_costs_the_other_nothing(start: Start, threads: int) -> None:
    engine = start(SLOW, threads=threads)
    widths = [8, 8, CRASH, 8, 8, CRASH, 8, 8]

    with ThreadPoolExecutor(max_workers=2) as lanes:
        ended = list(lanes.map(lambda width: outcomes(engine, width), widths))

    assert ended == [["EngineDiedError" if width == CRASH else "Answer"] for width in widths]


def test_no_question_is_lost_while_engines_are_renewed(start: Start) -> None:
    engine = start(PREDICTOR, max_jobs=1)

    with ThreadPoolExecutor(max_workers=2) as lanes:
        ended = list(lanes.map(lambda _: outcomes(engine, 8), range(6)))

    assert ended == [["Answer"]] * 6


def test_images_are_decoded_while_another_is_computed(start: Start) -> None:
    engine = start(SLOW, threads=2)
    broken = Question(JOB_ID, b"rubbish", "m", 1)

    with ThreadPoolExecutor(max_workers=2) as lanes:
        slow = lanes.submit(outcomes, engine, SLEEP)
        # Decoded at the same time but answered later: one batch is computed at a time.
        refused = lanes.submit(ask, engine, broken)

    assert slow.result() == ["Answer"]
    assert isinstance(refused.result(), Refusal)
