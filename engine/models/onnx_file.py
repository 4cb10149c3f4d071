"""A model whose network is a file of the ONNX format: no torch is needed."""

from pathlib import Path

from common.settings.consumer import Runtime
from common.text import joined
from engine.models.classifier import Classifier, ModelSpec
from engine.models.errors import ModelUnavailableError
from engine.models.origin import Origin
from engine.models.output import check_output
from engine.models.probe import probe
from engine.models.spec import spec_of
from engine.runtimes.adapting import AdaptedNetwork, adapted
from engine.runtimes.computing import Serving
from engine.runtimes.equivalence import NotEquivalentError, check_roughly, difference
from engine.runtimes.network import Network
from engine.runtimes.on_onnx import OnnxNetwork
from engine.runtimes.table import REFERENCE, RUNTIMES, RuntimeRow, runtime_for


def load(origin: Origin, serving: Serving) -> Classifier:
    """Load the network that the ``model.toml`` names, and see that it fits its labels.

    Raises:
        ModelUnavailableError: It does not, or nothing here can compute it.
    """
    folder, described = origin.needed_folder
    file, spec = folder / (described.network or ""), spec_of(folder, described)
    classifier = serve(file, spec, runtime=serving.runtime, threads=serving.threads)
    outputs = classifier.network(probe(spec.preprocessing)[:2])
    if outputs.shape != (2, len(spec.labels)):
        raise ModelUnavailableError(
            f"{file.name}: of 2 images its outputs have the shape {outputs.shape}, but model.toml "
            f"has {len(spec.labels)} labels; it must have as many labels as there are outputs"
        )
    check_output(outputs, described.output)
    return classifier


def serve(file: Path, spec: ModelSpec, *, runtime: Runtime, threads: int) -> Classifier:
    """Have *file* computed by *runtime*, or by another, with a remark that says why.

    Raises:
        ModelUnavailableError: Nothing that is installed computes its precision.
    """
    chosen = RUNTIMES[runtime]
    if spec.precision not in REFERENCE.precisions:
        return _without_reference(file, spec, chosen, threads)
    network = _by_reference(file, spec, threads)
    told = network.remark if isinstance(network, AdaptedNetwork) else ""
    if chosen is REFERENCE:
        return Classifier(network=network, spec=spec, remark=told)
    try:
        other = _like_reference(file, network, spec, chosen, threads)
    except NotEquivalentError as exc:
        return Classifier(network=network, spec=spec, remark=joined(f"{chosen.title}: {exc}", told))
    return Classifier(network=other, spec=spec)


def _by_reference(file: Path, spec: ModelSpec, threads: int) -> Network:
    """Load a file into onnxruntime, and give it the images as it wants them."""
    exact = OnnxNetwork(file, threads=threads, precision=spec.precision)
    channels = len(spec.preprocessing.mean)
    try:
        return adapted(exact, exact.input, layout=spec.layout, channels=channels)
    except NotEquivalentError as exc:
        raise ModelUnavailableError(f"{file.name}: {exc}") from exc


def _like_reference(
    file: Path, reference: Network, spec: ModelSpec, chosen: RuntimeRow, threads: int
) -> Network:
    """Load a file into another runtime.

    Raises:
        NotEquivalentError: It cannot, or computes something else than *reference*.
    """
    if chosen.open_file is None:
        raise NotEquivalentError("it does not compute ONNX files")
    if isinstance(reference, AdaptedNetwork):
        raise NotEquivalentError(
            f"it gets only the usual form of images; computed by {REFERENCE.title}"
        )
    try:
        network = chosen.open_file(file, threads=threads, precision=spec.precision)
        compare = check_roughly if spec.precision == "int8" else difference
        compare(reference, network, probe(spec.preprocessing))
    except ImportError as exc:
        raise NotEquivalentError(_how_to_install(chosen)) from exc
    except RuntimeError as exc:
        raise NotEquivalentError(str(exc).strip().partition("\n")[0]) from exc
    return network


def _without_reference(file: Path, spec: ModelSpec, chosen: RuntimeRow, threads: int) -> Classifier:
    """Serve a file in a precision that onnxruntime lacks."""
    able = chosen if spec.precision in chosen.precisions else runtime_for(spec.precision)
    if able.open_file is None:
        raise ModelUnavailableError(f"{able.title} computes no ONNX files")
    try:
        network = able.open_file(file, threads=threads, precision=spec.precision)
    except ImportError as exc:
        raise ModelUnavailableError(
            f"{spec.precision} takes {able.title}: {_how_to_install(able)}"
        ) from exc
    remark = "" if able is chosen else f"only {able.title} computes in {spec.precision}"
    if network.precision != spec.precision:
        remark = f"this processor has no {spec.precision}: computed in {network.precision}"
    return Classifier(network=network, spec=spec, remark=remark)


def _how_to_install(runtime: RuntimeRow) -> str:
    return f"it is not installed; pip install {runtime.title.lower()}"
