"""The store: what it acknowledges is on disk, in order, for many threads."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.errors import KitError
from mlops_kit.local.store import Store, decode, encode


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state.db")


def test_documents_come_back_in_the_order_of_creation(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.put("kind", name, {"name": name})
    store.put("kind", "a", {"name": "a", "changed": True})
    store.put("other", "z", {})
    assert [d["name"] for d in store.list("kind")] == ["b", "a", "c"]
    assert store.get("kind", "a") == {"name": "a", "changed": True}
    assert store.delete("kind", "a") and not store.delete("kind", "a")
    assert store.get("kind", "a") is None


def test_a_document_holds_times_and_bytes(store: Store) -> None:
    body = {"when": datetime(2011, 7, 1, 12, 30, tzinfo=UTC), "blob": b"\x00\xff", "list": [{"n": 1.5}]}
    store.put("kind", "x", body)
    assert store.get("kind", "x") == body


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda k: not k.startswith("$")), inner),
)


@given(_json)
def test_encoding_is_undone_by_decoding(value: object) -> None:
    assert decode(encode(value)) == value


def test_a_query_sees_what_any_thread_submitted_before(store: Store) -> None:
    store.migrate("numbers", ["CREATE TABLE numbers (n INTEGER)"])
    for _ in range(50):
        store.write([("INSERT INTO numbers VALUES (1)", ())])
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(len(store.query("SELECT * FROM numbers"))))  # noqa: B023
        reader.start()
        reader.join()
    assert seen == [50]


def test_a_batch_that_fails_leaves_nothing_and_spares_the_others(store: Store) -> None:
    store.migrate("numbers", ["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"])
    good = store.write([("INSERT INTO numbers VALUES (1)", ())])
    bad = store.write([("INSERT INTO numbers VALUES (2)", ()), ("INSERT INTO numbers VALUES (1)", ())])
    later = store.write([("INSERT INTO numbers VALUES (3)", ())])
    good.result(), later.result()
    with pytest.raises(sqlite3.IntegrityError):
        bad.result()
    assert [row["n"] for row in store.query("SELECT n FROM numbers ORDER BY n")] == [1, 3]


def test_many_threads_write_at_once(store: Store) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            store.put("kind", f"{thread}-{number}", {"thread": thread, "number": number})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    documents = store.list("kind")
    assert len(documents) == 160
    for number in range(8):  # each thread's own order is kept
        assert [d["number"] for d in documents if d["thread"] == number] == list(range(20))


def test_a_schema_grows_step_by_step_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    first = Store(tmp_path / "s.db")
    first.migrate("part", ["CREATE TABLE part (a TEXT); INSERT INTO part VALUES ('x;y')"])
    first.close()
    second = Store(tmp_path / "s.db")
    steps = ["never run again", "ALTER TABLE part ADD COLUMN b TEXT DEFAULT 'new'"]
    second.migrate("part", steps)
    assert tuple(second.query("SELECT a, b FROM part")[0]) == ("x;y", "new")
    with pytest.raises(KitError, match="newer version"):
        second.migrate("part", steps[:1])
    second.close()


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from mlops_kit.local.store import Store
        store = Store(Path(sys.argv[1]))
        for number in range(10_000):
            store.put("kind", str(number), {"number": number})
            print(number, flush=True)
        """
    )
    path = tmp_path / "state.db"
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 30:
            process.kill()
            break
    rest = process.stdout.read().split()
    process.wait()
    told = int(rest[-1]) if rest else 30
    assert [d["number"] for d in Store(path).list("kind")][: told + 1] == list(range(told + 1))
