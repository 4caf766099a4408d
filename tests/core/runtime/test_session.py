import threading
import time
import weakref
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from onnxembed.errors import InferenceError, InputError, InputTypeError, ModelError, ProviderError
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.providers import Placement
from onnxembed.runtime.session import DataFile, Session, SessionSettings
from onnxembed.runtime.session_options import parse_session_options
from onnxembed.runtime.turns import ON_ONE_PROCESSOR, Turns
from tests.fixtures.spies import spied

CPU = Placement((("CPUExecutionProvider", ()),), fallback_allowed=False)


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """A graph that doubles a column of numbers."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", [x], [y])
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_running(doubling: Path) -> None:
    session = Session(doubling, SessionSettings(CPU, threads=None), default_threads=1)
    (result,) = session.run(["y"], {"x": np.array([[1, 2], [3, 4]], dtype=np.float32)})
    np.testing.assert_array_equal(result, [[2, 4], [6, 8]])
    assert session.providers == ("CPUExecutionProvider",)


def test_a_failure_tells_the_shapes(doubling: Path) -> None:
    session = Session(doubling, SessionSettings(CPU, threads=1), default_threads=1)
    with pytest.raises(InferenceError, match=r"on a batch with x float32\[1, 3\]"):
        session.run(["y"], {"x": np.zeros((1, 3), dtype=np.float32)})


def test_a_file_that_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot load"):
        Session(path, SessionSettings(CPU, threads=1), default_threads=1)


def test_options_reach_the_session(doubling: Path, tmp_path: Path) -> None:
    optimized = tmp_path / "optimized.onnx"
    options = parse_session_options(
        {
            "optimized_model_filepath": str(optimized),
            "graph_optimization_level": 1,
            "execution_mode": 0,
            "session.set_denormal_as_zero": "1",
        },
        enable_cpu_mem_arena=False,
    )
    assert ("enable_cpu_mem_arena", False) in options
    Session(doubling, SessionSettings(CPU, threads=1, options=options), default_threads=1)
    assert optimized.is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"enable_mem_patern": True}, "Did you mean 'enable_mem_pattern'"),
        ({"nothing_like_it": 1}, "is unknown"),
    ],
)
def test_unknown_options(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_session_options(options, None)


@pytest.mark.parametrize(
    "options", [{"intra_op_num_threads": "2"}, {"intra_op_num_threads": True}, {"session.x": []}, {5: 1}, 5, ["a"]]
)
def test_options_of_a_wrong_type(options: object) -> None:
    with pytest.raises(InputTypeError, match="expected"):
        parse_session_options(options, None)  # type: ignore[arg-type]


def test_no_options() -> None:
    assert parse_session_options(None, None) == ()


class Replaced:
    """A session whose provider ONNX Runtime has silently replaced."""

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def get_inputs(self) -> list[object]:
        return []

    get_outputs = get_inputs


def test_a_silent_fallback_is_refused_or_warned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **kwargs: Replaced())
    cuda = (("CUDAExecutionProvider", ()), ("CPUExecutionProvider", ()))
    with pytest.raises(ProviderError, match="could not start it and uses CPUExecutionProvider instead"):
        Session(tmp_path, SessionSettings(Placement(cuda, fallback_allowed=False), threads=1), default_threads=1)
    with pytest.warns(RuntimeWarning, match="could not start it"):
        Session(tmp_path, SessionSettings(Placement(cuda, fallback_allowed=True), threads=1), default_threads=1)


def test_an_old_runtime_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import onnxruntime

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("com.microsoft:MatMulNBits(-1) is not a registered function/op")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(ModelError, match=r"upgrade to onnxruntime>=1\.23"):
        Session(tmp_path, SessionSettings(CPU, threads=1), default_threads=1)


def test_only_a_lone_session_spins(doubling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    from onnxembed.runtime import session as module

    monkeypatch.setattr(module, "_with_threads", weakref.WeakSet())
    entries: list[onnxruntime.SessionOptions] = []
    noted = spied(onnxruntime.InferenceSession, lambda path, sess_options, **named: entries.append(sess_options))
    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    opened = [Session(doubling, SessionSettings(CPU, threads=2), default_threads=2) for _ in range(2)]
    assert len(opened) == 2
    assert entries[1].get_session_config_entry("session.force_spinning_stop") == "1"
    with pytest.raises(Exception, match="force_spinning_stop"):
        entries[0].get_session_config_entry("session.force_spinning_stop")


def test_the_first_session_is_loaded_once_more_when_it_is_no_longer_alone(
    doubling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxembed.runtime import session as module

    monkeypatch.setattr(module, "_with_threads", weakref.WeakSet())
    source = SimpleNamespace(path=doubling, data=(DataFile(doubling),))
    feed = {"x": np.array([[1, 2]], dtype=np.float32)}
    first = Session(doubling, SessionSettings(CPU, threads=2), 2, source.data, lambda: nullcontext(source))
    alone = first.onnx
    first.run(["y"], feed)
    assert first.onnx is alone
    second = Session(doubling, SessionSettings(CPU, threads=2), 2, source.data, lambda: nullcontext(source))
    calm = second.onnx
    np.testing.assert_array_equal(first.run(["y"], feed)[0], [[2, 4]])
    again = first.onnx
    assert again is not alone
    for session, opened in ((first, again), (second, calm)):
        session.run(["y"], feed)
        assert session.onnx is opened


def test_a_session_that_cannot_be_loaded_again_goes_on(doubling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxembed.runtime import session as module

    def gone() -> Any:
        raise ModelError("its files are gone")

    monkeypatch.setattr(module, "_with_threads", weakref.WeakSet())
    first = Session(doubling, SessionSettings(CPU, threads=2), 2, (DataFile(doubling),), gone)
    alone = first.onnx
    beside = Session(doubling, SessionSettings(CPU, threads=2), 2)
    feed = {"x": np.array([[1, 2]], dtype=np.float32)}
    np.testing.assert_array_equal(first.run(["y"], feed)[0], beside.run(["y"], feed)[0])
    assert first.onnx is alone


@pytest.mark.parametrize(("rows", "waits"), [(48, False), (49, True)])
def test_a_run_waits_for_its_turn_unless_it_is_small(
    doubling: Path, monkeypatch: pytest.MonkeyPatch, rows: int, waits: bool
) -> None:
    turns = Turns(2)
    monkeypatch.setattr("onnxembed.runtime.session.TURNS", PerProcess(lambda: turns))
    session = Session(doubling, SessionSettings(CPU, threads=1), 1)
    done = threading.Event()

    def run() -> None:
        session.run(["y"], {"x": np.zeros((rows, 2), dtype=np.float32)})
        done.set()

    thread = threading.Thread(target=run)
    turns.take(2)
    thread.start()
    while not done.is_set() and not turns.waiting:
        done.wait(0.001)
    assert done.is_set() is not waits
    turns.give_back(2)
    thread.join()
    assert done.is_set()


def test_idle_sessions_do_not_spin(doubling: Path) -> None:
    sessions = [Session(doubling, SessionSettings(CPU, threads=2), default_threads=2) for _ in range(3)]
    for session in sessions:
        session.run(["y"], {"x": np.zeros((1000, 2), dtype=np.float32)})
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


class EPFail(Exception):  # noqa: N818
    """Has the name of ONNX Runtime's class."""


class Failing(Replaced):
    """A session whose provider fails at every run."""

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def run(self, *args: object) -> None:
        raise EPFail("CUDA failure 700: an illegal memory access")


@pytest.mark.parametrize("fallback", [True, False])
def test_a_provider_that_fails_at_a_run(
    doubling: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fallback: bool
) -> None:
    import onnxruntime

    real = onnxruntime.InferenceSession

    def start(path: str, providers: list[tuple[str, dict[str, str]]], **named: Any) -> object:
        return Failing() if providers[0][0] != "CPUExecutionProvider" else real(path, providers=providers, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    placement = Placement((("CUDAExecutionProvider", ()), ("CPUExecutionProvider", ())), fallback_allowed=fallback)
    source = SimpleNamespace(path=doubling, data=())
    session = Session(doubling, SessionSettings(placement, threads=1), 1, again=lambda: nullcontext(source))
    assert session.providers[0] == "CUDAExecutionProvider"
    assert session.may_move is fallback
    feed = {"x": np.array([[1, 2]], dtype=np.float32)}
    if fallback:
        with pytest.warns(RuntimeWarning, match="CPUExecutionProvider is used from now on, as listed.*illegal memory"):
            (result,) = session.run(["y"], feed)
        np.testing.assert_array_equal(result, [[2, 4]])
        assert session.providers == ("CPUExecutionProvider",)
        assert not session.may_move
    else:
        with pytest.raises(InferenceError, match="illegal memory access"):
            session.run(["y"], feed)
    assert capsys.readouterr().out == ""


def test_a_run_on_one_processor_takes_a_session_of_its_own(doubling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    threads: list[int] = []
    noted = spied(
        onnxruntime.InferenceSession, lambda _, sess_options, **named: threads.append(sess_options.intra_op_num_threads)
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    source = SimpleNamespace(path=doubling, data=(DataFile(doubling),))
    wide = Session(doubling, SessionSettings(CPU, threads=2), 2, source.data, lambda: nullcontext(source))
    feed = {"x": np.array([[1, 2]], dtype=np.float32)}
    assert wide.has_lanes
    for alone in (False, True, True):
        token = ON_ONE_PROCESSOR.set(alone)
        np.testing.assert_array_equal(wide.run(["y"], feed)[0], [[2, 4]])
        ON_ONE_PROCESSOR.reset(token)
    assert threads == [2, 1]


def test_which_sessions_have_no_lanes(doubling: Path) -> None:
    source = SimpleNamespace(path=doubling, data=(DataFile(doubling),))

    def opened(threads: int, data: Any, options: Any = ()) -> Session:
        settings = SessionSettings(CPU, threads=threads, options=options)
        return Session(doubling, settings, threads, data, lambda: nullcontext(source))

    assert not opened(1, source.data).has_lanes
    assert not opened(2, ()).has_lanes  # its weights would be copied
    assert not opened(2, source.data, (("intra_op_num_threads", 2),)).has_lanes
