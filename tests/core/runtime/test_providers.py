import warnings
from importlib import metadata

import pytest

from onnxembed import Device
from onnxembed.errors import InputError, InputTypeError, ProviderError
from onnxembed.runtime.providers import Placement, ProviderRequest, check_request, parse_device, parse_request, place

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.mark.parametrize(
    ("given", "device"),
    [(True, Device.CUDA), (False, Device.CPU), ("cpu", Device.CPU), ("auto", Device.AUTO), (Device.CUDA, Device.CUDA)],
)
def test_devices(given: object, device: Device) -> None:
    assert parse_device(given) is device


@pytest.mark.parametrize("given", ["gpu", None, 3])
def test_unknown_devices(given: object) -> None:
    with pytest.raises(InputError, match="pass True, False or one of 'cpu', 'cuda', 'auto'"):
        parse_device(given)


def test_providers_become_pairs() -> None:
    request = parse_request([CUDA, (CPU, {"b": 2, "a": 1})], Device.AUTO, None)
    assert request.providers == ((CUDA, ()), (CPU, (("a", "1"), ("b", "2"))))
    assert hash(request) == hash(parse_request([CUDA, (CPU, {"a": 1, "b": 2})], "auto", None))


@pytest.mark.parametrize("given", ["CPUExecutionProvider", 5, [5], [(CPU,)], [(CPU, "options")]])
def test_providers_of_a_wrong_form(given: object) -> None:
    with pytest.raises(InputTypeError):
        parse_request(given, "auto", None)  # type: ignore[arg-type]


def test_an_empty_list_of_providers() -> None:
    with pytest.raises(InputError, match="pass None to choose by device"):
        parse_request([], "auto", None)


@pytest.mark.parametrize("given", [0, "01", [-1], [True], ["0"]])
def test_device_ids_of_a_wrong_form(given: object) -> None:
    with pytest.raises(InputTypeError, match="device_ids"):
        parse_request(None, "auto", given)  # type: ignore[arg-type]


def test_providers_win_over_cuda_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="providers= is used"):
        request = parse_request([CPU], True, None)
    assert place(request, [CPU]) == (Placement(((CPU, ()),), fallback_allowed=False),)


def test_auto_takes_cuda_where_there_is_one() -> None:
    request = parse_request(None, "auto", None)
    assert place(request, [CPU]) == (Placement(((CPU, ()),), fallback_allowed=False),)
    assert place(request, [CUDA, CPU]) == (
        Placement(((CUDA, (("device_id", "0"),)), (CPU, ())), fallback_allowed=True),
    )


def test_one_session_a_device() -> None:
    placements = place(parse_request(None, True, [2, 0]), [CUDA, CPU])
    assert [placement.providers[0] for placement in placements] == [
        (CUDA, (("device_id", "2"),)),
        (CUDA, (("device_id", "0"),)),
    ]
    assert not any(placement.fallback_allowed for placement in placements)


def test_cuda_that_is_not_there_is_refused() -> None:
    with pytest.raises(ProviderError, match="has no CUDAExecutionProvider, only CPUExecutionProvider"):
        place(parse_request(None, True, None), [CPU])


def test_two_runtimes_at_once_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.31.1")
    with pytest.raises(ProviderError, match="uninstall both, then install onnxruntime-gpu alone"):
        place(parse_request(None, True, None), [CPU])


def test_one_runtime_is_told_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(ProviderError, match="Uninstall onnxruntime and install onnxruntime-gpu"):
        place(parse_request(None, True, None), [CPU])


def test_a_provider_that_is_not_there_is_refused_with_the_nearest() -> None:
    request = parse_request(["CPUExecutionProvidr"], "auto", None)
    with pytest.raises(ProviderError, match="Did you mean 'CPUExecutionProvider'"):
        check_request(request, [CUDA, CPU])


def test_a_fallback_that_was_listed_is_taken_with_a_warning() -> None:
    request = parse_request([CUDA, CPU], "auto", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_request(request, [CPU])
    with pytest.warns(RuntimeWarning, match="falling back to 'CPUExecutionProvider' as listed"):
        placements = place(request, [CPU])
    assert placements == (Placement(((CPU, ()),), fallback_allowed=True),)


@pytest.mark.parametrize("listed", [[CPU, CUDA], [CUDA, CPU, "TensorrtExecutionProvider"], [CUDA]])
def test_only_the_processor_listed_last_is_a_fallback(listed: list[str]) -> None:
    request = parse_request(listed, "auto", None)
    with pytest.raises(ProviderError, match="execution provider 'CUDAExecutionProvider' is not available"):
        place(request, [CPU])
    with pytest.raises(ProviderError, match="or list 'CPUExecutionProvider' after it to fall back"):
        check_request(request, [CPU])


def test_requests_say_what_was_given() -> None:
    assert parse_request(None, False, [1]) == ProviderRequest(None, Device.CPU, (1,))
