"""A model whose network is a file of the ONNX format: no torch is needed."""

from pathlib import Path
from typing import Final

from common.settings.consumer import Runtime
from engine.models.classifier import Classifier, Kit
from engine.models.errors import ModelUnavailableError
from engine.models.folder import ModelFile
from engine.models.kits import kit_of
from engine.models.output import check_output
from engine.models.probe import probe
from engine.runtimes.adapting import AdaptedNetwork, adapted
from engine.runtimes.agreement import NotTheSameError, check_roughly, difference
from engine.runtimes.network import Network
from engine.runtimes.on_onnx import OnnxNetwork

NO_BF16: Final = "this processor has no bfloat16: computed in float32"

_NOT_INSTALLED: Final = "it is not installed; pip install openvino"


def load(folder: Path, described: ModelFile, *, runtime: Runtime, threads: int) -> Classifier:
    """Load the network that *described* names, and see that it fits its labels.

    Raises:
        ModelUnavailableError: It does not, or nothing here can compute it.
    """
    file = folder / (described.network or "")
    kit = kit_of(folder, described)
    classifier = serve(file, kit, runtime=runtime, threads=threads)
    outputs = classifier.network(probe(kit.preprocessing)[:2])
    if outputs.shape != (2, len(kit.labels)):
        raise ModelUnavailableError(
            f"{file.name}: of 2 images its outputs have the shape {outputs.shape}, but model.toml "
            f"has {len(kit.labels)} labels; it must have as many labels as there are outputs"
        )
    check_output(outputs, described.output)
    return classifier


def serve(file: Path, kit: Kit, *, runtime: Runtime, threads: int) -> Classifier:
    """Have *file* computed by *runtime*, or say in a remark why by another.

    Raises:
        ModelUnavailableError: It is in bfloat16, and there is no OpenVINO.
    """
    if kit.precision == "bf16":
        return _in_bf16(file, kit, runtime, threads)
    network, told = _adapted(file, kit, threads)
    if runtime != "openvino":
        remark = "torch does not compute ONNX files" if runtime == "torch" else ""
        remarks = "; ".join(filter(None, (remark, told)))
        return Classifier(network=network, kit=kit, remark=remarks)
    if isinstance(network, AdaptedNetwork):
        remark = f"OpenVINO gets only the usual form of images: computed by onnxruntime; {told}"
        return Classifier(network=network, kit=kit, remark=remark.removesuffix("; "))
    try:
        other = _by_openvino(file, network, kit, threads)
    except NotTheSameError as exc:
        return Classifier(network=network, kit=kit, remark=f"OpenVINO: {exc}")
    return Classifier(network=other, kit=kit)


def _adapted(file: Path, kit: Kit, threads: int) -> tuple[Network, str]:
    """Load a file into onnxruntime, and give it the images as it wants them."""
    exact = OnnxNetwork(file, threads=threads)
    channels = len(kit.preprocessing.mean)
    try:
        network = adapted(exact, exact.input, layout=kit.layout, channels=channels)
    except NotTheSameError as exc:
        raise ModelUnavailableError(f"{file.name}: {exc}") from exc
    return network, network.remark if isinstance(network, AdaptedNetwork) else ""


def _by_openvino(file: Path, reference: Network, kit: Kit, threads: int) -> Network:
    """Load a file into OpenVINO.

    Raises:
        NotTheSameError: It cannot, or computes something else than *reference*.
    """
    try:
        from engine.runtimes.on_openvino import OpenVinoNetwork  # noqa: PLC0415 (an extra)

        network = OpenVinoNetwork(file, threads=threads)
        compare = check_roughly if kit.precision == "int8" else difference
        compare(reference, network, probe(kit.preprocessing))
    except ImportError as exc:
        raise NotTheSameError(_NOT_INSTALLED) from exc
    except RuntimeError as exc:
        raise NotTheSameError(str(exc).strip().partition("\n")[0]) from exc
    return network


def _in_bf16(file: Path, kit: Kit, runtime: Runtime, threads: int) -> Classifier:
    try:
        from engine.runtimes.on_openvino import OpenVinoNetwork  # noqa: PLC0415 (an extra)
    except ImportError as exc:
        raise ModelUnavailableError(f"bfloat16 takes OpenVINO, and {_NOT_INSTALLED}") from exc
    network = OpenVinoNetwork(file, threads=threads, precision="bf16")
    remark = "" if runtime == "openvino" else "only OpenVINO computes in bfloat16"
    if not network.is_bf16:
        remark = NO_BF16
    return Classifier(network=network, kit=kit, remark=remark)
