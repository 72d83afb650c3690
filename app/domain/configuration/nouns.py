"""The sections of the configuration file, in the order in which they are written and exported."""

from __future__ import annotations

from app.domain.configuration.noun import Noun
from app.domain.configuration.people import TEAMS, USERS
from app.domain.configuration.places import DESTINATIONS
from app.domain.configuration.policies import POLICIES
from app.domain.configuration.services import SERVICES
from app.domain.configuration.webhooks import OUTGOING_WEBHOOKS

NOUNS: tuple[Noun, ...] = (USERS, TEAMS, DESTINATIONS, POLICIES, SERVICES, OUTGOING_WEBHOOKS)
VERSION = 1
