"""Response models of holidays."""

from datetime import date

from pydantic import Field

from event_trigger.web.schemas import ResponseModel


class CountryRead(ResponseModel):
    country: str = Field(description="The code of ISO 3166.", examples=["DE"])
    name: str = Field(examples=["Germany"])
    regions: list[str] = Field(examples=[["BE", "BY"]])
    first_year: int
    last_year: int


class HolidayRead(ResponseModel):
    date: date
    name: str = Field(examples=["New Year's Day"])


class HolidaysRead(ResponseModel):
    country: str = Field(examples=["DE"])
    region: str | None = Field(examples=["BE"])
    dates: list[date] = Field(
        description="The dates alone, in the form that `POST /calendars` takes."
    )
    holidays: list[HolidayRead]
