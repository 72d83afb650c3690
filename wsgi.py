"""The WSGI application: `application`."""

from app import create_app

application = create_app()
