"""The configuration file: read it, plan, prepare, write; or export one.

document = read(text, environ)                        # pure
state = load(session, vault, now=now)                 # one reading transaction
plan = make_plan(document, state, prune=False)        # pure; checks passwords, so it takes its time
ready = prepare(plan, vault)                          # pure; hashes and seals
write(session, ready, vault, actor=…, now=…)          # one writing transaction; Outdated: load and plan again
"""

from app.domain.configuration.document import Document, read
from app.domain.configuration.exporting import export
from app.domain.configuration.nouns import NOUNS
from app.domain.configuration.planning import Change, Outdated, Plan, Prepared, prepare, write
from app.domain.configuration.planning import make as make_plan
from app.domain.configuration.state import State, load

__all__ = ["NOUNS", "Change", "Document", "Outdated", "Plan", "Prepared", "State", "export", "load", "make_plan", "prepare", "read", "write"]
