"""The WSGI application: `application`."""

import os
import sys
from multiprocessing import parent_process
from multiprocessing.util import Finalize

from app import create_app
from app.hub.unix import die_with_parent
from app.settings import BadSettingError

_parent = parent_process()
if _parent is not None and _parent.pid and "TOCSIN_HUB" in os.environ:
    die_with_parent(_parent.pid)  # a web worker of the hub: when the hub is killed, its server is, and so is this

try:
    application = create_app()
except BadSettingError as error:
    sys.stderr.write(f"tocsin: {error}\n")
    raise SystemExit(2) from None

if "granian" in sys.modules:
    from app.wiring import log, processes

    log.start("web", application.extensions["tocsin"].settings.log_level)
    heartbeat = processes.start_heartbeat(application, "web")
    Finalize(None, heartbeat.__exit__, (None, None, None), exitpriority=1)  # granian's workers run these at their end, and no atexit
