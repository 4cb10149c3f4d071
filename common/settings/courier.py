"""What the courier reads."""

from pydantic import Field

from common.settings.shared import LANES_PER_ENGINE, WorkSettings


class CourierSettings(WorkSettings):
    """What the courier needs to know about its surroundings."""

    retention_s: int = Field(
        86_400, ge=60, le=10 * 365 * 86_400, description="how long a finished job is kept"
    )

    @property
    def longest_hold_s(self) -> float:
        """How long a consumer may work on a job, if every question takes its full time.

        A batch is lost along with that of the engine's other lane; then each of their jobs
        is asked again, alone.
        """
        alone = LANES_PER_ENGINE * self.batch_size
        return self.job_time_limit_s * (1 + alone)
