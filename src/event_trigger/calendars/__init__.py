"""Calendars: named lists of dates on which schedules do not fire, and national holidays."""
