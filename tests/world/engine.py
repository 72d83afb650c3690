"""The ticker and a worker without threads, queue or waiting: an in-process list stands for RQ."""

from __future__ import annotations

from datetime import datetime

from flask import Flask
from sqlalchemy.orm import Session


def run_what_is_due(app: Flask, now: datetime) -> None: ...


def next_due(session: Session, after: datetime) -> datetime | None: ...
