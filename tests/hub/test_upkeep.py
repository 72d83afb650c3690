"""Looking after an installation: doctor, backup, pruning, turning the secret key over, the settings page."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import insert, select

from app import create_app
from app.cli import doctor, settings_page
from app.core.errors import LostKey
from app.core.keys import Vault
from app.domain import retention, sealed
from app.domain.retention import Keep
from app.models import Base, ContactMethod, Integration, IntegrationKey, ManagerRun, Process, Receipt, ReceiptEvent, Service, StoredSetting, User
from app.settings import TABLE, Settings, load
from app.wiring import schema, transactions
from app.wiring.vitals import Level
from tests.conftest import close
from tests.world.clock import FakeClock

ROOT = Path(__file__).resolve().parents[2]
NFS = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\nfiler:/export /srv/shared nfs4 rw 0 0\n/dev/vdb /srv/shared/local\\040disk xfs rw 0 0\n"


def store(*rows: Base) -> None:
    transactions.run(lambda session: session.add_all(rows))


def found(part: str) -> doctor.Finding:
    return next(finding for finding in doctor.examine() if finding.part == part)


@pytest.fixture
def old_vault(settings: Settings, app: Flask, clock: FakeClock) -> Vault:
    """Secrets of every shape, sealed by a former key."""
    old, now = Vault("the former key"), clock.now()
    service = Service(public_id="S1", uuid="u", name="Web", created_at=now)
    integration = Integration(
        public_id="C1", intake_id="i", service=service, name="am", source="generic", signature_secret=old.seal("signature"), created_at=now
    )
    user = User(public_id="U1", email="ann@example.com", name="Ann", role="admin", created_at=now)
    store(
        IntegrationKey(integration=integration, key_hash="h", key_sealed=old.seal("key"), created_at=now),
        ContactMethod(
            public_id="M1", user=user, name="hook", channel="webhook", address={"url": "http://127.0.0.1/", "token": old.seal("token")}, created_at=now
        ),
        StoredSetting(name="PLAIN", value="not sealed at all", changed_at=now),
    )
    return old


class TestDoctor:
    def test_a_new_installation_lacks_a_ticker_and_people(self, app: Flask) -> None:
        assert found("migrations").level is Level.OK
        assert found("ticker").level is Level.DOWN
        assert found("worker").level is Level.DEGRADED
        assert found("people").level is Level.DEGRADED

    def test_a_working_installation_has_nothing_to_fear(self, app: Flask, clock: FakeClock) -> None:
        now = clock.now()
        store(
            ManagerRun(name="escalation", ran_at=now, duration_ms=1),
            Process(boot_id="b", kind="worker", pid=1, host="here", version="1", started_at=now, heartbeat_at=now),
            User(public_id="U1", email="ann@example.com", name="Ann", role="admin", created_at=now),
        )

        assert not [finding for finding in doctor.examine() if finding.level is Level.DOWN]
        assert found("worker").summary == "1 alive"

    def test_it_sees_that_the_clocks_of_database_and_tocsin_differ(self, app: Flask, settings: Settings) -> None:
        database = found("database")  # the clock of tests stands in the past; SQLite has none of its own

        assert database.level is (Level.OK if settings.is_sqlite else Level.DEGRADED)
        assert ("its clock differs" in database.summary) is not settings.is_sqlite

    def test_it_names_the_lost_key(self, app: Flask, old_vault: Vault) -> None:
        secrets = found("secrets")

        assert secrets.level is Level.DOWN
        assert "lost key: 3 of 3 do not open (integrations.signature_secret of 1" in secrets.summary
        assert "SECRET_KEY_OLD" in secrets.advice

    def test_the_command_ends_with_1_when_something_must_be_done(self, app: Flask) -> None:
        result = app.test_cli_runner().invoke(args=["doctor"])

        assert result.exit_code == 1
        assert "FAIL  ticker" in result.output

    @pytest.mark.parametrize(
        ("path", "kind"),
        [("/var/lib/tocsin/tocsin.db", "ext4"), ("/srv/shared/tocsin.db", "nfs4"), ("/srv/shared/local disk/tocsin.db", "xfs"), ("/srv/sharedelse", "ext4")],
    )
    def test_the_nearest_mount_tells_the_file_system(self, path: str, kind: str) -> None:
        assert doctor.file_system_kind(Path(path), NFS) == kind

    def test_only_a_certain_difference_of_clocks_counts(self, clock: FakeClock) -> None:
        now = clock.now()

        assert doctor.clock_skew(now, now + timedelta(seconds=5), now + timedelta(seconds=3)) == 0
        assert doctor.clock_skew(now, now, now + timedelta(seconds=3)) == 3
        assert doctor.clock_skew(now, now, now - timedelta(seconds=4)) == 4


class TestTurningTheKeyOver:
    def test_everything_opens_with_the_new_key_alone_afterwards(self, app: Flask, old_vault: Vault, settings: Settings) -> None:
        both, new = Vault(settings.secret_key, ("the former key",)), Vault(settings.secret_key)
        before = transactions.run(lambda session: list(sealed.cells(session)), "read")
        pairs = [(cell, sealed.reseal(cell, both)) for cell in before]

        assert transactions.run(lambda session: sum(sealed.replace(session, old, anew) for old, anew in pairs)) == 3

        after = transactions.run(lambda session: list(sealed.cells(session)), "read")
        assert sealed.lost(after, new) == []
        assert len(sealed.lost(after, old_vault)) == 3
        address = transactions.run(lambda session: session.scalars(select(ContactMethod.address)).one(), "read")
        assert (address["url"], new.open(address["token"])) == ("http://127.0.0.1/", "token")

    def test_a_secret_changed_meanwhile_is_left_alone(self, app: Flask, old_vault: Vault, settings: Settings) -> None:
        both = Vault(settings.secret_key, ("the former key",))
        cell = next(cell for cell in transactions.run(lambda session: list(sealed.cells(session)), "read") if cell.column.key == "key_sealed")
        stale = sealed.Cell(cell.column, cell.row, "what it was before")

        assert not transactions.run(lambda session: sealed.replace(session, stale, sealed.reseal(cell, both)))

    def test_a_key_that_is_lost_is_named_and_nothing_changes(self, app: Flask, old_vault: Vault) -> None:
        result = app.test_cli_runner().invoke(args=["rotate-secret"])

        assert result.exit_code == 1
        assert "SECRET_KEY_OLD" in result.output
        assert "Nothing was changed" in result.output
        cells = transactions.run(lambda session: list(sealed.cells(session)), "read")
        assert sealed.lost(cells, old_vault) == []

    def test_a_lost_key_is_an_error_with_a_name(self) -> None:
        with pytest.raises(LostKey):
            sealed.reseal(sealed.Cell(IntegrationKey.key_sealed, 1, Vault("a").seal("x")), Vault("b"))

    def test_every_column_that_says_sealed_is_known(self) -> None:
        """The tables say in words which columns are sealed; this finds one that the list has forgotten."""
        said = set()
        for module in (ROOT / "app" / "models").glob("*.py"):
            lines = module.read_text().splitlines()
            said |= {line.split(":")[0].strip() for line, after in pairwise(lines) if '"""' in after and "ealed" in after}
            said |= {line.split(":")[0].strip() for line in lines if "_sealed: Mapped" in line}

        assert said == {column.key for column in sealed.COLUMNS}


class TestPruning:
    KEEP = Keep(body_days=7, days=14, rows=1000)

    @pytest.fixture(autouse=True)
    def _small_slices(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(retention, "SLICE", 3)
        return iter((None,))

    def receive(self, clock: FakeClock, *ages_in_days: float) -> None:
        now = clock.now()
        values = [
            {
                "received_at": now - timedelta(days=age),
                "door": "native",
                "method": "POST",
                "path": "/",
                "body": b"{}",
                "status": 202,
                "verdict": "accepted",
                "reason": "joined",
            }
            for age in ages_in_days
        ]
        transactions.run(lambda session: session.execute(insert(Receipt), values))

    def prune(self, clock: FakeClock, keep: Keep = KEEP) -> tuple[int, int]:
        deleted, emptied, start = 0, 0, 0
        while start is not None:
            done = transactions.run(lambda session, start=start: retention.prune_receipts(session, keep, start, now=clock.now()))  # type: ignore[misc]
            deleted, emptied, start = deleted + done.deleted, emptied + done.emptied, done.next_id
        return deleted, emptied

    def kept(self) -> list[bool]:
        """Whether each receipt that is left has its body."""
        return transactions.run(lambda session: list(session.scalars(select(Receipt.body.is_not(None)).order_by(Receipt.id))), "read")

    def test_bodies_go_first_then_receipts(self, app: Flask, clock: FakeClock) -> None:
        self.receive(clock, 20, 19, 18, 17, 13, 12, 11, 10, 6, 5, 4, 3, 2, 1)

        assert self.prune(clock) == (4, 4)
        assert self.kept() == [False] * 4 + [True] * 6
        assert self.prune(clock) == (0, 0)

    def test_no_more_than_so_many_rows_stay(self, app: Flask, clock: FakeClock) -> None:
        self.receive(clock, *[1] * 10)

        assert self.prune(clock, Keep(body_days=7, days=14, rows=4)) == (6, 0)
        assert self.kept() == [True] * 4

    def test_the_events_of_a_batch_go_with_it(self, app: Flask, clock: FakeClock) -> None:
        self.receive(clock, 20, 1)
        events = [{"receipt_id": receipt_id, "n": 0, "action": "trigger", "verdict": "accepted", "reason": "joined"} for receipt_id in (1, 2)]
        ids = transactions.run(lambda session: list(session.scalars(select(Receipt.id).order_by(Receipt.id))), "read")
        events = [{**event, "receipt_id": receipt_id} for event, receipt_id in zip(events, ids, strict=True)]
        transactions.run(lambda session: session.execute(insert(ReceiptEvent), events))

        assert self.prune(clock) == (1, 0)
        assert transactions.run(lambda session: list(session.scalars(select(ReceiptEvent.receipt_id))), "read") == [ids[1]]

    def test_the_command_says_what_it_did(self, app: Flask, clock: FakeClock) -> None:
        self.receive(clock, 20, 10, 1)

        assert "Deleted 1 receipts, and the bodies of 1 more." in app.test_cli_runner().invoke(args=["prune"]).output

    def test_nothing_to_prune_is_fine(self, app: Flask, clock: FakeClock) -> None:
        assert self.prune(clock) == (0, 0)


class TestBackup:
    @pytest.fixture
    def app(self, make_settings: Callable[..., Settings], clock: FakeClock, tmp_path: Path) -> Iterator[Flask]:
        built = create_app(make_settings(DATABASE_URL=f"sqlite:///{tmp_path / 'own.db'}"), clock)
        schema.bring_up_to_date(built)
        with built.app_context():
            yield built
            close(built)

    def test_it_copies_the_database_while_it_is_used(self, app: Flask, clock: FakeClock, tmp_path: Path) -> None:
        store(User(public_id="U1", email="ann@example.com", name="Ann", role="admin", created_at=clock.now()))
        target = tmp_path / "copy.db"

        result = app.test_cli_runner().invoke(args=["backup", str(target)])

        assert result.exit_code == 0, result.output
        with closing(sqlite3.connect(target)) as copy:
            assert copy.execute("SELECT email FROM users").fetchall() == [("ann@example.com",)]
        assert target.stat().st_mode & 0o077 == 0
        assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]

    def test_it_overwrites_nothing(self, app: Flask, tmp_path: Path) -> None:
        (tmp_path / "copy.db").write_text("precious")

        result = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "copy.db")])

        assert result.exit_code == 1
        assert (tmp_path / "copy.db").read_text() == "precious"

    def test_postgresql_is_left_to_its_own_tool(self, make_settings: Callable[..., Settings], tmp_path: Path) -> None:
        app = create_app(make_settings(DATABASE_URL="postgresql://postgres@127.0.0.1:1/nobody"))
        result = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "copy.db")])
        with app.app_context():
            close(app)

        assert result.exit_code == 1
        assert "pg_dump" in result.output


class TestSettingsPage:
    def test_the_page_in_docs_is_current(self) -> None:
        assert (ROOT / "docs" / "settings.md").read_text() == settings_page.markdown(), "run: flask settings --write docs/settings.md"

    def test_values_are_shown_with_their_source_and_secrets_are_not(self, tmp_path: Path) -> None:
        shown = settings_page.table(
            load(
                {
                    "DATA_DIR": str(tmp_path),
                    "SECRET_KEY": "hush-hush",
                    "SMTP_PASSWORD": "hush-hush",
                    "DATABASE_URL": "postgresql://tocsin:hush-hush@db/tocsin",
                    "REDIS_URL": "redis://:hush-hush@cache/0",
                    "OUTBOUND_ALLOW": "10.0.0.0/8,127.0.0.0/8",
                }
            )
        )

        assert "hush" not in shown
        lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
        assert list(lines) == [row.name for row in TABLE]
        assert lines["PORT"] == ["default", "8000"]
        assert lines["DATABASE_URL"] == ["environment", "postgresql+psycopg://tocsin:***@db/tocsin"]
        assert lines["OUTBOUND_ALLOW"] == ["environment", "10.0.0.0/8,127.0.0.0/8"]
        assert lines["SMTP_LISTEN"] == ["default", "127.0.0.1:2525"]
