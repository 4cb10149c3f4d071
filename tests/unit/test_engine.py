"""The engine answers, and what kills it harms nobody else."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from common.workers import ModelState
from consumer.engine import Engine
from consumer.errors import EngineDiedError, EngineNotReadyError, EngineTimeoutError
from consumer.protocol import Answer, EngineConfig, Question, Refusal
from tests.examples import JOB_ID, an_image
from tests.waiting import wait_for

# Does what the width of the image says: any predictor might, by accident.
PREDICTOR = """
import os, signal, time

class Predictor:
    def load(self):
        pass

    def predict(self, images):
        width = images[0].width
        if width == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        if width == 2:
            time.sleep(3600)
        if width == 4:
            if os.fork() == 0:
                time.sleep(40)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGSEGV)
        if width == 3:
            raise ValueError("three is too much")
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

Start = Callable[..., Engine]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an engine with one model, `m`, that is the given predictor."""
    with ExitStack() as opened:

        def start_engine(source: str, *, time_limit_s: float = 30, ready: bool = True) -> Engine:
            folder = tmp_path / "m"
            folder.mkdir()
            (folder / "predictor.py").write_text(source)
            (folder / "model.toml").write_text('predictor = "predictor:Predictor"')
            engine = Engine(
                EngineConfig(
                    models=("m",),
                    models_dir=tmp_path,
                    weights_dir=tmp_path / "weights",
                    threads=1,
                    max_image_pixels=10_000,
                    log_level="WARNING",
                    log_format="console",
                ),
                start_limit_s=60,
                time_limit_s=time_limit_s,
                stopping=threading.Event(),
            )
            opened.enter_context(closing(engine))
            engine.start()
            if ready:
                engine.wait_until_ready()
            return engine

        yield start_engine


def question(width: int, model: str = "m") -> Question:
    return Question(JOB_ID, an_image(size=(width, 1)), model, top_k=1)


def test_an_engine_answers_with_the_most_probable_labels(start: Start) -> None:
    engine = start(PREDICTOR)

    answer = engine.ask(question(8))

    assert isinstance(answer, Answer)
    assert [(one.label, one.probability) for one in answer.predictions] == [("cat", 0.75)]
    assert answer.inference_ms > 0
    assert [model.state for model in engine.models] == [ModelState.READY]


def test_an_engine_that_crashes_says_how_and_the_next_one_answers(start: Start) -> None:
    engine = start(PREDICTOR)

    with pytest.raises(EngineDiedError, match="was killed by SIGSEGV"):
        engine.ask(question(1))

    assert isinstance(engine.ask(question(8)), Answer)


def test_many_crashes_in_a_row_are_each_told_at_once(start: Start) -> None:
    engine = start(PREDICTOR, time_limit_s=20)

    for _ in range(5):
        started_s = time.monotonic()
        with pytest.raises(EngineDiedError):
            engine.ask(question(1))
        # Not at the time limit: the pipe of the next engine is not taken for this one's.
        assert time.monotonic() - started_s < 15


def test_an_engine_whose_own_children_outlive_it_is_known_to_be_dead(start: Start) -> None:
    engine = start(PREDICTOR, time_limit_s=20)

    with pytest.raises(EngineDiedError):
        engine.ask(question(4))

    assert isinstance(engine.ask(question(8)), Answer)


def test_an_engine_that_hangs_is_killed_and_the_next_one_answers(start: Start) -> None:
    engine = start(PREDICTOR, time_limit_s=1)

    with pytest.raises(EngineTimeoutError, match="took longer than 1 s"):
        engine.ask(question(2))

    assert isinstance(engine.ask(question(8)), Answer)


def test_an_engine_that_dies_while_nobody_asks_is_started_again(start: Start) -> None:
    engine = start(PREDICTOR)
    first = engine.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)

    wait_for(lambda: engine.pid not in (first, None))
    engine.wait_until_ready()
    assert isinstance(engine.ask(question(8)), Answer)


def test_a_model_that_raises_refuses_the_image_and_lives_on(start: Start) -> None:
    engine = start(PREDICTOR)
    pid = engine.pid

    refusal = engine.ask(question(3))

    assert isinstance(refusal, Refusal)
    assert refusal.reason.detail == "ValueError: three is too much"
    assert engine.pid == pid


def test_bytes_that_are_no_image_are_refused(start: Start) -> None:
    refusal = start(PREDICTOR).ask(Question(JOB_ID, b"rubbish", "m", 1))

    assert isinstance(refusal, Refusal)
    assert refusal.reason.type.endswith("image-undecodable")


def test_a_question_for_a_model_that_is_not_served_is_refused(start: Start) -> None:
    refusal = start(PREDICTOR).ask(question(8, model="other"))

    assert isinstance(refusal, Refusal)
    assert refusal.reason.type.endswith("model-unavailable")


def test_a_model_that_cannot_be_loaded_is_unavailable_with_the_reason(start: Start) -> None:
    engine = start(BROKEN)

    [model] = engine.models

    assert model.state is ModelState.UNAVAILABLE
    assert model.reason == "RuntimeError: no licence key"


def test_an_engine_that_dies_over_its_start_is_reported_and_not_ready(start: Start) -> None:
    engine = start(CRASHING, ready=False)

    wait_for(lambda: engine.models[0].state is ModelState.UNAVAILABLE)

    assert engine.models[0].reason == "the engine ended with status 3"


def test_nobody_waits_for_an_engine_of_a_process_that_stops(start: Start) -> None:
    engine = start(CRASHING, ready=False)
    engine.close()

    with pytest.raises(EngineNotReadyError):
        engine.ask(question(8))


def test_closing_ends_the_child_even_while_it_hangs(start: Start) -> None:
    engine = start(PREDICTOR)
    pid = engine.pid
    assert pid is not None
    errors: list[Exception] = []

    def ask() -> None:
        try:
            engine.ask(question(2))
        except EngineDiedError as exc:
            errors.append(exc)

    asking = threading.Thread(target=ask)
    asking.start()

    engine.close()

    asking.join(10)
    assert len(errors) == 1
    assert not Path(f"/proc/{pid}").exists()
