"""The ticker and a worker without threads, queue or waiting: an in-process list stands for RQ."""

from __future__ import annotations

from datetime import datetime

from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import Delivery, Incident

MAX_PASSES = 100
