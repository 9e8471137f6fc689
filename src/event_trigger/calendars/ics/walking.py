"""Limits the days that the rules of iCalendar files walk, of all files of a request together."""

from dataclasses import dataclass

from event_trigger.calendars.ics.refusal import BadFile

MOST_DAYS_WALKED = 100_000  # 1 s, as many as twelve daily rules look at
COST_OF_NAMED_DAY = 1 / 30  # of a day that is only walked


@dataclass(slots=True)
class Walk:
    """The days that are walked already; a day of a rule that takes less time counts in part."""

    days: float = 0.0

    def spend(self, days: float) -> None:
        """Raises BadFile if there are too many."""
        self.days += max(0.0, days)
        if self.days > MOST_DAYS_WALKED:
            raise BadFile(
                "There are too many recurring events, or they recur too seldom after their"
                " DTSTART; those of other calendars in the request count, too. Leave some out, or"
                " write a DTSTART on which the event happens."
            )
