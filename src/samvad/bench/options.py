"""What every bench can be told, and how far it may go."""

from dataclasses import dataclass, field

from samvad.bench.rig import Place
from samvad.kit.errors import BadRequest

LONGEST_S = 600.0
MOST_CALLERS = 1_024
MOST_PER_S = 20_000.0
MOST_OPERATIONS = 200_000  # each is some hundred bytes made before the clock starts


def bounded(what: str, value: float, most: float) -> None:
    """Raises BadRequest naming the option."""
    if not 0 < value <= most:
        raise BadRequest(f"{what} must be more than 0 and at most {most:g}; got {value:g}.")


@dataclass(frozen=True, slots=True)
class Options:
    """One run. With `rate` the loop is open: requests leave by the clock, on at most `callers` connections."""

    seconds: float
    callers: int
    rate: float | None = None
    kill_after_s: float | None = None
    """SIGKILL the server so many seconds into the load, and start it again on the same data."""
    floor_s: float = 2.0
    """How long the bare application is measured, before the load and again after it."""
    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        bounded("--seconds", self.seconds, LONGEST_S)
        bounded("--callers", self.callers, MOST_CALLERS)
        if self.rate is not None:
            bounded("--rate", self.rate, MOST_PER_S)
        if self.rate is not None and self.rate * self.seconds > MOST_OPERATIONS:
            raise BadRequest(f"--rate times --seconds must be at most {MOST_OPERATIONS:,} operations.")
        if self.kill_after_s is not None and not 0 < self.kill_after_s < self.seconds:
            raise BadRequest("--kill-after must lie within the load, so between 0 and --seconds.")
