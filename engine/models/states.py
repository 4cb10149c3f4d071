"""State dicts as people save them: in checkpoints, with the prefixes of wrappers."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file

from common.text import joined
from engine.models.errors import ModelUnavailableError

State = Mapping[str, torch.Tensor]

# Where training loops keep the state dict of the network.
_KEYS: Final = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
# Of DataParallel, of torch.compile, and of Lightning, which names the attribute.
_PREFIXES: Final = ("module.", "_orig_mod.", "model.", "net.", "network.")

_SAVE_THE_STATE: Final = (
    "save only the weights: torch.save(network.state_dict(), PATH), and name the class as "
    "`architecture`; or export the network: torch.onnx.export(..., dynamo=True), and name the "
    "file as `network`"
)


def read_state(file: Path, wanted: State) -> tuple[State, str]:
    """Read the state dict in *file*, with the names that *wanted* has.

    Returns:
        The state dict, and what was changed in it, for people; empty if nothing was.

    Raises:
        ModelUnavailableError: There is none in it; the text says what to do.
    """
    if file.suffix == ".safetensors":
        found: Any = load_file(file)
    else:
        found = _loaded(file)
    state, told = _unwrapped(file, found)
    state, stripped = _without_prefixes(state, wanted)
    return state, joined(told, stripped)


def _loaded(file: Path) -> Any:
    if _is_torchscript(file):
        raise ModelUnavailableError(f"{file.name} is a TorchScript program; {_SAVE_THE_STATE}")
    try:
        # weights_only: a pickle could run any code.
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as exc:
        if "weights_only" not in str(exc).lower() and "weights only" not in str(exc).lower():
            raise
        raise ModelUnavailableError(
            f"{file.name} holds more than weights, perhaps a whole pickled network, which could "
            f"run any code; {_SAVE_THE_STATE}"
        ) from exc


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any("/code/" in name for name in archive.namelist())


def _unwrapped(file: Path, found: Any) -> tuple[State, str]:
    if _is_state(found):
        return found, ""
    if isinstance(found, Mapping):
        for key in _KEYS:
            if _is_state(found.get(key)):
                return found[key], f"{file.name} is a checkpoint: its {key!r} was taken"
        keys = ", ".join(repr(str(key)[:40]) for key in list(found)[:10])
        raise ModelUnavailableError(
            f"{file.name} has no state dict under any of {', '.join(_KEYS)}; it has {keys}. "
            f"Please {_SAVE_THE_STATE}"
        )
    raise ModelUnavailableError(
        f"{file.name} holds a {type(found).__name__}, no state dict; {_SAVE_THE_STATE}"
    )


def _is_state(found: Any) -> bool:
    return (
        isinstance(found, Mapping)
        and bool(found)
        and all(isinstance(value, torch.Tensor) for value in found.values())
    )


def _without_prefixes(state: State, wanted: State) -> tuple[State, str]:
    """Remove a prefix that all names have and the network's names do not."""
    taken: list[str] = []
    while not _fits(state, wanted):
        prefix = next((one for one in _PREFIXES if _all_begin(state, one)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): value for name, value in state.items()}
        taken.append(prefix)
    return state, f"the prefix {''.join(taken)!r} was taken off the names" if taken else ""


def _all_begin(state: State, prefix: str) -> bool:
    return all(name.startswith(prefix) for name in state)


def _fits(state: State, wanted: State) -> bool:
    return not set(wanted) - set(state)
