"""The commands as a shell sees them: output, exit codes, and no secret where it does not belong."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from app.core import passwords
from app.core.keys import hash_token
from app.models import AuditEntry, User
from app.wiring import transactions
from app.wiring.runtime import runtime
from tests.catalog.conftest import ENVIRON
from tests.catalog.test_configuration_file import DESIGN_EXAMPLE
from tests.world.clock import FakeClock


def run(app: Flask, *words: str, stdin: str = "", **environ: str) -> Result:
    return app.test_cli_runner().invoke(args=list(words), input=stdin, env=environ)


def user(email: str) -> User:
    return transactions.run(lambda session: session.scalars(select(User).where(User.email == email)).one(), "read")


# The file


def test_plan_apply_and_plan_again(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "tocsin.yaml"
    file.write_text(DESIGN_EXAMPLE)

    planned = run(app, "plan", str(file), **ENVIRON)
    drift = run(app, "plan", "--exit-code", str(file), **ENVIRON)
    applied = run(app, "apply", str(file), **ENVIRON)
    again = run(app, "apply", "-", stdin=DESIGN_EXAMPLE, **ENVIRON)
    quiet = run(app, "plan", "--exit-code", str(file), **ENVIRON)

    assert planned.output.splitlines()[-1] == "10 changes to make with flask apply."
    assert '+ create service Web: team "Platform", escalation_policy "Default"' in planned.output.splitlines()
    assert applied.output.splitlines()[:-1] == planned.output.splitlines()[:-1]
    assert applied.output.splitlines()[-1] == "10 changes made."
    assert again.output == quiet.output == "Nothing to change.\n"
    assert [each.exit_code for each in (planned, drift, applied, again, quiet)] == [0, 3, 0, 0, 0]
    assert not [secret for secret in ENVIRON.values() if secret in planned.output + applied.output]


def test_a_wrong_file_ends_with_one_and_says_everything_on_stderr(app: Flask) -> None:
    result = run(app, "apply", "-", stdin=DESIGN_EXAMPLE.replace("prometheus", "promtheus"), ANN_PASSWORD="correct horse", ANN_TOKEN="t" * 16)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "services[0].integrations[0].key: the environment has no AM_KEY",
        'services[0].integrations[0].source: unknown source "promtheus" – did you mean prometheus?',
    ]


def test_a_missing_file_is_wrong_use(app: Flask) -> None:
    assert run(app, "plan", "/nowhere.yaml").exit_code == 2


def test_export_writes_to_standard_output_or_a_file(app: Flask, tmp_path: Path) -> None:
    run(app, "apply", "-", stdin=DESIGN_EXAMPLE, **ENVIRON)

    shown = run(app, "export")
    written = run(app, "export", str(tmp_path / "out.yaml"))

    assert (shown.exit_code, written.exit_code, written.output) == (0, 0, "")
    assert (tmp_path / "out.yaml").read_text() == shown.output
    assert "version: 1" in shown.output


def test_prune_is_an_option_of_both(app: Flask) -> None:
    run(app, "apply", "-", stdin="{version: 1, teams: [{name: A}, {name: B}]}")

    assert "- archive team B" in run(app, "plan", "--prune", "-", stdin="{version: 1, teams: [{name: A}]}").output
    assert run(app, "apply", "--prune", "-", stdin="{version: 1, teams: [{name: A}]}").output.splitlines() == ["- archive team B", "1 change made."]


def test_the_audit_names_who_typed_the_command(app: Flask) -> None:
    run(app, "apply", "-", stdin="{version: 1, teams: [{name: A}]}")

    entry = transactions.run(lambda session: session.scalars(select(AuditEntry)).one(), "read")
    assert entry.actor_label.endswith("at the command line")


# Users


def test_the_first_admin_is_made_with_a_password_that_no_process_list_shows(app: Flask) -> None:
    result = run(app, "user", "create", "Ann@Example.com", "--role", "admin", "--name", "Ann", "--password-stdin", stdin="correct horse\nrest")

    assert (result.exit_code, result.output) == (0, "Created admin Ann <ann@example.com>.\n")
    assert passwords.verify("correct horse", user("ann@example.com").password_hash)
    assert "--password " not in run(app, "user", "create", "--help").output


def test_a_password_may_come_from_the_environment(app: Flask) -> None:
    run(app, "user", "create", "ann@example.com", "--no-password")

    missing = run(app, "user", "password", "ann@example.com", "--password-env", "NOPE")
    short = run(app, "user", "password", "ann@example.com", "--password-env", "PW", PW="short")
    done = run(app, "user", "password", "ann@example.com", "--password-env", "PW", PW="correct horse")

    assert (missing.exit_code, missing.stderr) == (1, "The environment has no NOPE.\n")
    assert (short.exit_code, short.stderr) == (1, "A password has 8 to 256 characters.\n")
    assert done.exit_code == 0
    assert passwords.verify("correct horse", user("ann@example.com").password_hash)


def test_without_a_terminal_nobody_waits_for_a_password(app: Flask) -> None:
    result = run(app, "user", "create", "ann@example.com")

    assert result.exit_code == 1
    assert "--password-stdin" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["user", "create", "ann@example.com", "--no-password"], 'There is already a user with the address "ann@example.com".'),
        (["user", "create", "x@y", "--no-password", "--timezone", "Europe/Berln"], 'timezone: unknown time zone "Europe/Berln" – did you mean Europe/Berlin?'),
        (["user", "disable", "ann@example.com"], "ann@example.com is the last admin; make somebody else an admin first."),
        (["user", "disable", "nobody@example.com"], "There is no user nobody@example.com."),
        (["user", "password", "nobody@example.com", "--password-env", "PW"], "There is no user nobody@example.com."),
        (["token", "create", "nobody@example.com", "ci"], "There is no user nobody@example.com."),
        (["token", "create", "ann@example.com", "ci", "--expires", "soon"], "The end of the key: write a duration as 30s, 5m, 2h or 1d."),
        (["token", "create", "ann@example.com", "ci", "--team", "Platform"], "There is no team Platform."),
        (["token", "revoke", "ann@example.com", "ci"], 'ann@example.com has no API key called "ci".'),
    ],
)
def test_a_refusal_is_one_sentence_on_stderr(app: Flask, words: list[str], told: str) -> None:
    run(app, "user", "create", "ann@example.com", "--role", "admin", "--no-password")

    result = run(app, *words)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", told + "\n")


def test_users_are_listed_with_what_is_special_about_them(app: Flask) -> None:
    run(app, "user", "create", "ann@example.com", "--role", "admin", "--no-password")
    run(app, "user", "create", "bot@example.com", "--service-account")
    run(app, "user", "disable", "bot@example.com")

    assert run(app, "user", "list").output.splitlines() == [
        "ann@example.com\tann\tadmin\tno password",
        "bot@example.com\tbot\tresponder\tdisabled, service account, no password",
    ]
    assert run(app, "user", "enable", "bot@example.com").output == "Enabled bot@example.com.\n"
    assert run(app, "user", "enable", "bot@example.com").output == "bot@example.com is not disabled.\n"


# API keys


def test_a_token_is_printed_once_alone_on_standard_output(app: Flask, clock: FakeClock) -> None:
    run(app, "user", "create", "ann@example.com", "--no-password")

    made = run(app, "token", "create", "ann@example.com", "ci", "--scope", "events:write", "--expires", "90d")

    plain = made.stdout.strip()
    assert plain.startswith("sk_live_")
    assert "not stored" in made.stderr
    principal = runtime().cache.principal(hash_token(plain))
    assert principal is not None
    assert principal.scopes == frozenset({"events:write"})
    listed = run(app, "token", "list").output
    assert plain not in listed
    assert listed == f"ann@example.com\tci\t{plain[:12]}…\tevents:write\t2026-04-05 09:00 UTC\tnever used\n"


def test_a_revoked_token_is_dead_at_once(app: Flask) -> None:
    run(app, "user", "create", "ann@example.com", "--no-password")
    plain = run(app, "token", "create", "ann@example.com", "ci").stdout.strip()
    assert runtime().cache.principal(hash_token(plain)) is not None

    assert run(app, "token", "revoke", "ann@example.com", "ci").exit_code == 0

    runtime().cache.drop()
    assert runtime().cache.principal(hash_token(plain)) is None
    assert run(app, "token", "list", "ann@example.com").output == ""


# Where the database is


class TestWithoutTables:
    @pytest.fixture
    def environment(self, tmp_path: Path) -> dict[str, str]:
        return {"DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}

    def test_a_command_on_a_new_installation_makes_the_tables(self, app: Flask) -> None:
        assert run(app, "user", "create", "ann@example.com", "--role", "admin", "--no-password").exit_code == 0


class TestWithoutDatabase:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}

    def test_a_command_says_so_with_a_code_for_trying_again(self, app: Flask) -> None:
        result = run(app, "user", "list")

        assert result.exit_code == 75
        assert result.stderr.startswith("The database cannot be reached: ")
        assert result.stderr.count("\n") == 1
