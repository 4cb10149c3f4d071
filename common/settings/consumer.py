"""What the consumers and their engines read."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.cores import available_cores
from common.memory import MEBIBYTE, total_bytes
from common.settings.base import MOST_MIB, GivenPath, says
from common.settings.shared import LANES_PER_ENGINE, ServingSettings, WorkSettings

Runtime = Literal["onnx", "openvino", "torch"]
Device = Literal["auto", "cpu", "cuda"]
FloatPrecision = Literal["float32", "half", "bfloat16"]


class ConsumerSettings(ServingSettings, WorkSettings):
    """What a consumer needs to know about its surroundings."""

    state_dir: GivenPath = Field(
        Path(".darkroom"),
        description="the folder of all written files; relative to the code's folder",
    )
    weights_dir: GivenPath = Field(
        default_factory=lambda values: Path(values.get("state_dir", "")) / "weights",
        description="the folder of downloaded weights and exported networks, for all consumers; "
        "relative to the code's folder; unset: `DARKROOM_STATE_DIR`/weights",
    )
    decode_limit_s: float = Field(
        10,
        gt=0,
        le=86_400,
        description="an image that takes longer to decode fails its job at once",
    )
    engine_start_limit_s: float = Field(
        300, gt=0, le=86_400, description="an engine that takes longer to load its models is killed"
    )
    cores: int = Field(
        default_factory=available_cores,
        ge=1,
        le=1024,
        description="how many cores a consumer may use; unset: the machine's or the container's",
    )
    engines: int = Field(
        1, ge=1, le=64, description="engines of each consumer; no more than it has cores"
    )
    engine_threads: int = Field(
        default_factory=lambda values: max(1, values.get("cores", 1) // values.get("engines", 1)),
        ge=1,
        le=1024,
        description="threads that an engine computes with; no more than it has cores; "
        "unset: one for each of its cores",
    )
    engine_memory_limit_mb: int = Field(
        default_factory=lambda values: (
            total_bytes() * 3 // 4 // MEBIBYTE // int(values.get("engines", 1))
        ),
        ge=0,
        le=MOST_MIB,
        description="an engine that uses more memory is killed; in MiB, on Linux only, 0: never"
        "; unset: three quarters of the machine's or the container's, divided by the engines",
    )
    engine_max_rss_mb: int = Field(
        0,
        ge=0,
        le=MOST_MIB,
        description="restart an engine that holds more than this after a job; in MiB, on Linux "
        "only, 0: never",
    )
    engine_max_jobs: int = Field(
        0, ge=0, le=10**9, description="restart an engine after this many jobs; 0: never"
    )
    runtime: Runtime = Field(
        "onnx",
        description="what computes networks: `onnx` or `openvino` (an extra) computes exports, "
        "and torch what cannot be exported; `torch` computes all",
    )
    device: Device = Field(
        "auto",
        description="the device for torch: `cpu`, `cuda` (then torch computes all, whatever "
        "`DARKROOM_RUNTIME` is), or `auto`: a GPU if torch computes and finds one",
    )
    precision: FloatPrecision = Field(
        "float32",
        description="the precision of torch; less than `float32` changes the answers slightly",
    )
    compile: bool = Field(
        False,
        description="torch compiles networks, which takes up to minutes at each start",
        json_schema_extra=says("true or false"),
    )
    dct_scaling: bool = Field(
        False,
        description="large JPEGs are decoded at a reduced size: faster, but the answers change "
        "slightly",
        json_schema_extra=says("true or false"),
    )
    batch_wait_ms: int = Field(
        0,
        ge=0,
        le=10_000,
        description="how long a batch that is not full waits for more jobs; 0: not at all",
    )

    @property
    def engine_count(self) -> int:
        """Engines of a consumer: as asked for, but no more than there are cores."""
        return min(self.engines, self.cores)

    @property
    def threads_per_engine(self) -> int:
        """As asked for, but no more than an engine has cores."""
        return min(self.engine_threads, self.cores // self.engine_count)

    @property
    def prefetch_count(self) -> int:
        """Deliveries that a consumer holds: a batch for each of its lanes."""
        return self.engine_count * LANES_PER_ENGINE * self.batch_size

    @property
    def clipped(self) -> list[str]:
        return [
            *super().clipped,
            *self._clipped("engines", self.engine_count, f"there are {self.cores} cores"),
            *self._clipped(
                "engine_threads", self.threads_per_engine, "an engine has no more cores"
            ),
        ]
