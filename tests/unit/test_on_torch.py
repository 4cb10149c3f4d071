"""torch computes on the requested device in the requested precision, or says why not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from engine.models.by_torch import served_by_torch
from engine.models.classifier import ModelSpec
from engine.models.errors import ModelUnavailableError
from engine.models.pretrained import Pretrained
from engine.preprocessing import Preprocessing
from engine.runtimes import compiling
from engine.runtimes.compiling import Compiled
from engine.runtimes.computing import Computing
from engine.runtimes.network import Floats
from engine.runtimes.on_torch import NoSuchDeviceError, TorchNetwork
from engine.runtimes.precision import Precision
from engine.runtimes.staging import Staging

LABELS = ("a", "b", "c", "d", "e")


def a_module(*, scale: float = 1.0) -> torch.nn.Module:
    torch.manual_seed(0)
    linear = torch.nn.Linear(4 * 6 * 6, len(LABELS))
    with torch.no_grad():
        linear.weight *= scale
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        linear,
    )
    return module.eval()


def a_pretrained(*, resize: tuple[int, int] | None = (8, 8), scale: float = 1.0) -> Pretrained:
    preprocessing = Preprocessing(resize=resize, mean=(0.5,) * 3, std=(0.5,) * 3)
    if resize is None:
        module: torch.nn.Module = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, len(LABELS))
        ).eval()
    else:
        module = a_module(scale=scale)
    spec = ModelSpec(labels=LABELS, preprocessing=preprocessing, version="v")
    return Pretrained(module=module, spec=spec, sources=())


def images(count: int) -> Floats:
    return np.random.default_rng(0).normal(size=(count, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def compiled_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compile networks without a compiler; return the batch sizes that they were compiled for."""
    sizes: list[int] = []

    def note_size(
        graph: torch.fx.GraphModule, examples: list[torch.Tensor]
    ) -> Callable[..., object]:
        sizes.extend(len(one) for one in examples if one.dim() == 4 and one.shape[1:] == (3, 8, 8))
        return graph.forward

    real = compiling.Compiled
    torch._dynamo.reset()
    monkeypatch.setattr(
        compiling,
        "Compiled",
        lambda module, image, largest: real(module, image, largest, backend=note_size),
    )
    return sizes


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("half", 0.01), ("bfloat16", 0.1)]
)
def test_every_precision_gives_about_the_same_logits_as_float32(
    precision: Precision, tolerance: float
) -> None:
    with torch.inference_mode():
        expected = a_module()(torch.from_numpy(images(4))).numpy()

    logits = TorchNetwork(a_module(), Computing(device="cpu", precision=precision))(images(4))

    assert logits.dtype == np.float32
    assert np.abs(logits - expected).max() < tolerance * expected.std()


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_not_there_makes_a_model_unavailable() -> None:
    with pytest.raises(NoSuchDeviceError):
        TorchNetwork(a_module(), Computing(device="cuda"))
    with pytest.raises(ModelUnavailableError, match=r"DARKROOM_DEVICE is cuda, .* sees no GPU"):
        served_by_torch(a_pretrained(), Computing(device="cuda"))


@pytest.mark.usefixtures("no_gpu")
def test_unless_it_is_told_where_torch_computes_on_what_there_is() -> None:
    served = served_by_torch(a_pretrained(), Computing(device="auto"))

    assert served.remark == ""


@pytest.mark.parametrize("precision", ["half", "bfloat16"])
def test_how_exact_half_precision_is_is_told(precision: Precision) -> None:
    computing = Computing(device="cpu", precision=precision)

    served = served_by_torch(a_pretrained(), computing, remark="a reason")

    told, _, number = served.remark.partition(" difference ")
    assert told == f"a reason; {precision}: largest logit"
    assert 0 < float(number.split()[0]) < 0.1


def test_a_network_that_overflows_in_half_precision_is_not_served() -> None:
    with pytest.raises(ModelUnavailableError, match="DARKROOM_PRECISION is half, in which it over"):
        served_by_torch(a_pretrained(scale=1e6), Computing(device="cpu", precision="half"))


def test_batches_are_compiled_for_in_a_few_sizes_only(compiled_sizes: list[int]) -> None:
    computing = Computing(device="cpu", compiles=True, largest_batch=5)
    plain = TorchNetwork(a_module(), Computing(device="cpu"))

    network = TorchNetwork(a_module(), computing, example=images(1))
    before = list(compiled_sizes)

    for count in (1, 2, 3, 5, 7, 8, 9, 20):
        assert np.allclose(network(images(count)), plain(images(count)), atol=1e-5)
    assert sorted(before) == [1, 2, 4, 8]
    assert compiled_sizes == before


def test_no_batch_is_compiled_for_that_is_larger_than_the_largest(
    compiled_sizes: list[int],
) -> None:
    computing = Computing(device="cpu", compiles=True, largest_batch=1000)

    TorchNetwork(a_module(), computing, example=images(1))

    assert max(compiled_sizes) == 64


def test_a_network_that_cannot_be_compiled_is_computed_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_args: object) -> Compiled:
        raise FileNotFoundError("no such file: 'g++'\nand more")

    monkeypatch.setattr(compiling, "Compiled", fail)

    served = served_by_torch(a_pretrained(), Computing(device="cpu", compiles=True))

    assert served.remark == "not compiled: no such file: 'g++'"
    assert served.network(images(2)).shape == (2, 5)


def test_code_that_computes_something_else_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        compiling, "Compiled", lambda *_: lambda batch: torch.zeros(len(batch), len(LABELS))
    )

    served = served_by_torch(a_pretrained(), Computing(device="cpu", compiles=True))

    assert served.remark.startswith("not compiled: then its most probable labels are not those")
    assert served.network(images(1)).any()


def test_code_that_computes_the_same_is_used(compiled_sizes: list[int]) -> None:
    served = served_by_torch(a_pretrained(), Computing(device="cpu", compiles=True))

    assert served.remark == ""
    assert compiled_sizes == [1]


def test_a_network_for_images_of_any_size_is_not_compiled() -> None:
    served = served_by_torch(a_pretrained(resize=None), Computing(device="cpu", compiles=True))

    assert served.remark == "not compiled: its images have many sizes"


def test_batches_pass_through_the_same_memory_unharmed() -> None:
    staging = Staging(torch.device("cpu"))  # where no memory is pinned

    places = set()
    for count in (4, 2, 4, 1):
        staged = staging(images(count))
        places.add(staged.data_ptr())
        assert np.array_equal(staged.numpy(), images(count))
    assert len(places) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("precision", ["float32", "half", "bfloat16"])
def test_a_gpu_gives_about_the_same_logits_as_the_cpu(precision: Precision, compiles: bool) -> None:
    cpu = TorchNetwork(a_module(), Computing(device="cpu"))
    computing = Computing(device="cuda", precision=precision, compiles=compiles, largest_batch=4)

    gpu = TorchNetwork(a_module(), computing, example=images(1))

    assert "not compiled" not in gpu.remark
    for count in (1, 3, 5):
        expected = cpu(images(count))
        assert np.abs(gpu(images(count)) - expected).max() < 0.1 * expected.std()
