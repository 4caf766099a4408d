import warnings
from pathlib import Path

import pytest

from onnxembed import Device
from onnxembed.errors import InputError, InputTypeError, ProviderError
from onnxembed.runtime import provider_packages
from onnxembed.runtime.providers import (
    Placement,
    ProviderRequest,
    check_request,
    parse_device,
    parse_request,
    place,
    place_quantized,
)

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
    installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(ProviderError, match="uninstall both, then install onnxruntime-gpu alone"):
        place(parse_request(None, True, None), [CPU])


def test_one_runtime_is_told_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
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


# -- the choice of the machine -----------------------------------------------------------------------------------------


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have some distributions installed, and no others."""
    known = {name: (Path("site-packages"), "1.31.1") for name in names}
    monkeypatch.setattr(provider_packages, "unpacked", known.get)


def test_auto_tells_of_a_gpu_build_that_was_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.warns(RuntimeWarning, match=r"has overwritten its files: uninstall both, then install onnxruntime-gpu"):
        (placement,) = place(parse_request(None, "auto", None), [CPU])
    assert placement.providers == ((CPU, ()),)


def test_auto_tells_of_a_gpu_build_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "onnxruntime-gpu")
    with pytest.warns(RuntimeWarning, match="onnxruntime-gpu is installed, but this ONNX Runtime has no CUDA"):
        place(parse_request(None, "auto", None), [CPU])


@pytest.mark.parametrize(("names", "available"), [(["onnxruntime"], [CPU]), (["onnxruntime-gpu"], [CUDA, CPU])])
def test_auto_is_silent_without_a_device(
    monkeypatch: pytest.MonkeyPatch, names: list[str], available: list[str]
) -> None:
    installed(monkeypatch, *names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (placement,) = place(parse_request(None, "auto", None), available, device_found=False)
    assert placement == Placement(((CPU, ()),), fallback_allowed=False)


def test_cuda_is_tried_where_it_was_asked_for_whatever_was_found() -> None:
    (placement,) = place(parse_request(None, True, None), [CUDA, CPU], device_found=False)
    assert placement.providers[0][0] == CUDA


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", r"Did you mean 'CUDAExecutionProvider'\?"),
        ("OpenVINO", r"Did you mean 'OpenVINOExecutionProvider'\?"),
        ("DmlExecutionProvider", r"that has it: onnxruntime-directml"),
        ("OpenVINOExecutionProvider", r"that has it: onnxruntime-openvino, or the plugin onnxruntime-ep-openvino"),
        ("ROCMExecutionProvider", r"that has it: onnxruntime-rocm"),
    ],
)
def test_providers_by_their_package(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    installed(monkeypatch, "onnxruntime")
    with pytest.raises(ProviderError, match=message) as raised:
        place(parse_request([name], "auto", None), [CPU])
    assert "Did you mean 'CPU" not in str(raised.value)


def test_builds_that_overwrite_each_other_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "onnxruntime", "onnxruntime-directml")
    with pytest.raises(ProviderError, match="onnxruntime and onnxruntime-directml are installed and overwrite"):
        place(parse_request(["DmlExecutionProvider"], "auto", None), [CPU])


# -- several devices ---------------------------------------------------------------------------------------------------


def test_a_device_that_is_named_twice_is_opened_once() -> None:
    assert len(place(parse_request(None, True, [0, 1, 0]), [CUDA, CPU])) == 2


def test_device_numbers_become_options_of_listed_providers() -> None:
    tensorrt = "TensorrtExecutionProvider"
    request = parse_request([(tensorrt, {"trt_fp16_enable": 1}), CUDA, CPU], "auto", [1, 2])
    placements = place(request, [tensorrt, CUDA, CPU])
    assert [placement.providers for placement in placements] == [
        ((tensorrt, (("trt_fp16_enable", "1"), ("device_id", n))), (CUDA, (("device_id", n),)), (CPU, ()))
        for n in ("1", "2")
    ]


@pytest.mark.parametrize(
    ("providers", "cuda", "message"),
    [
        ([(CUDA, {"device_id": 1})], "auto", "the options of providers= name device 1"),
        ([CPU], "auto", "no listed provider takes one"),
        (None, False, "names CUDA devices, but the processor was asked for"),
    ],
)
def test_device_numbers_that_nobody_takes(providers: list[object] | None, cuda: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        place(parse_request(providers, cuda, [0]), [CUDA, CPU])  # type: ignore[arg-type]


def test_device_numbers_without_cuda_are_told() -> None:
    with pytest.warns(RuntimeWarning, match=r"device_ids=\[0, 1\] names CUDA devices, but CUDA is not to be had"):
        assert len(place(parse_request(None, "auto", [0, 1]), [CPU])) == 1


def test_any_provider_may_be_a_fallback_where_it_is_listed() -> None:
    request = parse_request(["TensorrtExecutionProvider", CUDA], "auto", None)
    with pytest.warns(RuntimeWarning, match="falling back to 'CUDAExecutionProvider' as listed"):
        (placement,) = place(request, [CUDA, CPU])
    assert placement.providers == ((CUDA, ()),)


def test_the_processor_has_no_options() -> None:
    with pytest.raises(InputError, match="CPUExecutionProvider has no options"):
        place(parse_request([(CPU, {"arena": 1})], "auto", None), [CPU])


# -- quantised graphs --------------------------------------------------------------------------------------------------


def test_dynamically_quantised_graphs_run_on_the_processor() -> None:
    auto, wanted = parse_request(None, "auto", [0, 1]), parse_request(None, True, None)
    assert place_quantized(auto, place(auto, [CUDA, CPU])) == (Placement(((CPU, ()),), fallback_allowed=False),)
    with pytest.warns(RuntimeWarning, match="dynamically quantised, and CUDAExecutionProvider has no kernels"):
        placements = place_quantized(wanted, place(wanted, [CUDA, CPU]))
    assert placements == place(wanted, [CUDA, CPU])
    processor = parse_request(None, False, None)
    assert place_quantized(processor, place(processor, [CPU])) == place(processor, [CPU])
