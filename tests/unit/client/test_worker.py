"""How each ending of a job is told, with a worker that is a socket and a supervisor that is a fake.

The socket is filled before the client looks, so that nothing here waits.
"""

import errno
import math
import socket

import pytest

from orchestrator.client.connection import Connection, ConnectionLost
from orchestrator.client.requests import WorkerRequest
from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
from orchestrator.client.worker import NotBegun, Worker
from orchestrator.core.refusals import REFUSALS
from orchestrator.errors import (
    Cancelled,
    Crashed,
    JobFailed,
    MachineRefused,
    OutputError,
    Rejected,
    TimedOut,
    UsageError,
)
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.system.waiting import ENDLESS, Deadline
from orchestrator.worker import frames, state
from orchestrator.worker.channel import Channel
from orchestrator.worker.frames import CANCELLED, FAILED, MISMATCH, NOT_LOADED, REFUSED, REJECTED
from orchestrator.worker.state import WorkerState
from tests.fakes import FakeSupervisor


class Noticed(Connection):
    """Calls what is in `when_asked`, once, when it has asked the worker to stop."""

    def __init__(self, channel):
        super().__init__(channel)
        self.when_asked = []

    def cancel(self):
        super().cancel()
        while self.when_asked:
            self.when_asked.pop()()


class World:
    """A worker whose process is the other end of a pair of sockets."""

    def __init__(self, tmp_path):
        ours, self.socket = socket.socketpair()
        self.supervisor = FakeSupervisor()
        self.runtime = RuntimeDirectory(tmp_path)
        self.log = tmp_path / "log"
        self.log.write_text("last words\n")
        record = WorkerRecord(
            id="w1", model="m", supervisor=1, started="", environment="", socket="",
            log=str(self.log),
        )  # fmt: skip
        self.worker = Worker(record, self.runtime, self.supervisor)
        self.worker.connection = Noticed(Channel(ours))

    def say(self, **body):
        self.socket.sendall(frames.encode({"jsonrpc": "2.0", **body}))

    def works_at(self, request):
        """Show the state of a worker that is at a request."""
        numbers = [1, 0, 0, 0.0, 300, state.FOREVER, request, WorkerState.BUSY]
        self.runtime.state_file("w1").write_bytes(state.encode(numbers))

    def ended(self, text):
        self.runtime.end("w1").write_text(text)
        self.socket.shutdown(socket.SHUT_WR)

    def run(self, seconds=5.0, cancellation=None, events=None, grace=5.0, deadline=ENDLESS):
        heard = events.append if events is not None else (lambda _: None)
        request = WorkerRequest({}, seconds, deadline=deadline)
        return self.worker.run(request, cancellation, heard, grace)

    def sent(self):
        """Return the methods of what the worker's side has been sent."""
        return [body["method"] for body in self.received()]

    def received(self):
        """Return the messages that the worker's side has been sent."""
        decoder, found = frames.Decoder(), []
        self.socket.setblocking(False)
        # Where the client left something unread; what it had sent is there all the same.
        self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            while data := self.socket.recv(65536):
                found += decoder.feed(data)
        except BlockingIOError:
            pass
        return [each.body for each in found]


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.worker.leave()
    world.socket.close()


def test_an_answer_comes_back_and_the_worker_lives_on(world):
    world.say(id=1, result={"outputs": {}})
    assert world.run().body["result"] == {"outputs": {}}
    assert world.worker.alive


@pytest.mark.parametrize(
    ("code", "kind"),
    [(FAILED, JobFailed), (REJECTED, Rejected), (CANCELLED, Cancelled), (MISMATCH, OutputError)],
)
def test_errors_of_the_runner_cost_no_worker(world, code, kind):
    world.say(id=1, error={"code": code, "message": "why", "data": {"traceback": "where"}})
    with pytest.raises(kind) as caught:
        world.run()
    assert code == CANCELLED or "why" in str(caught.value)
    assert world.worker.alive


@pytest.mark.parametrize(
    ("record", "kind", "said"),
    [
        ('{"exit": 3, "signal": null, "why": ""}', Crashed, "exit status 3"),
        ('{"exit": null, "signal": 11, "why": ""}', Crashed, "SIGSEGV"),
        ('{"exit": null, "signal": 9, "why": ""}', Crashed, "SIGKILL"),
        ('{"exit": null, "signal": 63, "why": ""}', Crashed, "signal 63"),
        ('{"exit": null, "signal": 15, "why": "stopped"}', Cancelled, "stopped"),
        ('{"exit": null, "signal": 15, "why": "deadline"}', TimedOut, "deadline"),
        ("not json", Crashed, "ended before it answered"),
        ('["list"]', Crashed, "ended before it answered"),
        ('{"exit": "3", "signal": []}', Crashed, "ended before it answered"),
    ],
)
def test_every_death_is_told_apart(world, record, kind, said):
    world.ended(record)
    with pytest.raises(kind, match=said) as caught:
        world.run()
    assert not world.worker.alive
    assert world.supervisor.told == 1
    assert kind is not Crashed or caught.value.detail == "last words"


def test_a_kill_that_its_control_group_counted_was_for_memory(tmp_path, world):
    counter = tmp_path / "memory.events"
    counter.write_text("oom 1\noom_kill 3\n")
    record = WorkerRecord(
        id="w1", model="m", supervisor=1, started="", environment="", socket="",
        log=str(world.log), oom=(str(counter), 2),
    )  # fmt: skip
    world.worker.record = record
    world.ended('{"exit": null, "signal": 9, "why": ""}')
    with pytest.raises(Crashed, match=r"SIGKILL \(likely out of memory\)"):
        world.run()


def test_a_dump_of_the_interpreter_is_shown_in_full(world):
    dump = ["Fatal Python error: Segmentation fault", "", *(f"  frame {n}" for n in range(40))]
    world.log.write_text("\n".join([*("noise" for _ in range(30)), *dump]))
    world.ended('{"exit": null, "signal": 11, "why": ""}')
    with pytest.raises(Crashed) as caught:
        world.run()
    assert caught.value.detail.splitlines()[-len(dump) :] == dump


@pytest.mark.parametrize("own", [True, False])
def test_a_broken_protocol_costs_the_worker_where_it_is_ours_alone(world, own):
    world.supervisor.own, world.supervisor.ended = own, False
    world.say(id=7, result={})
    with pytest.raises(Crashed, match="broke the protocol") as caught:
        world.run()
    assert world.supervisor.told == own
    assert ("mm stop m" in caught.value.fix) is not own
    assert not world.worker.alive


@pytest.mark.parametrize("half", [b"", b"\0\0\1\0{"])
def test_a_connection_that_a_living_worker_drops_is_our_end_alone(world, half):
    world.supervisor.ended = False
    world.say(method="log", params={"id": 1, "text": "it has begun"})
    world.socket.sendall(half)
    world.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(Crashed, match="dropped the connection"):
        world.run()
    assert world.supervisor.told == 0
    assert not world.worker.alive


def test_a_deadline_asks_first_and_ends_the_worker_only_if_it_does_not_listen(world):
    world.say(id=1, error={"code": CANCELLED, "message": "cancelled"})
    with pytest.raises(Cancelled):
        world.run(seconds=0)  # what was there before the deadline counts
    with pytest.raises(TimedOut, match="longer than 0 seconds"):
        world.worker.load(WorkerRequest({}, 0))
    assert world.supervisor.told == 1


@pytest.fixture
def cancellation():
    made = Cancellation()
    yield made
    made.close()


def test_a_runner_that_was_asked_to_stop_is_ended_after_the_grace(world, cancellation):
    world.supervisor.own = True
    cancellation.request()
    with pytest.raises(Cancelled, match=r"its worker was ended after 0\.001 seconds"):
        world.run(cancellation=cancellation, grace=0.001)
    assert world.sent() == ["run", "cancel"]
    assert world.supervisor.told == 1


def test_a_second_request_ends_the_worker_at_once(world, cancellation):
    world.supervisor.own = True
    world.worker.connection.when_asked.append(cancellation.request)
    world.say(id=1, result={})  # else a client that missed it would wait for ever
    cancellation.request()
    with pytest.raises(Cancelled, match="its worker was ended at once"):
        world.run(cancellation=cancellation, grace=math.inf)
    assert world.sent() == ["run", "cancel"]
    assert world.supervisor.told == 1


def test_two_requests_that_come_together_are_two(world, cancellation):
    world.supervisor.own = True
    world.say(id=1, result={})
    cancellation.request()
    cancellation.request()
    with pytest.raises(Cancelled, match="its worker was ended at once"):
        world.run(cancellation=cancellation, grace=math.inf)
    assert world.sent() == ["run"]
    assert world.supervisor.told == 1


@pytest.mark.parametrize(("request_id", "told"), [(1, 1), (2, 0), (0, 0)])
def test_a_second_request_ends_a_shared_worker_that_is_at_our_request_alone(
    world, cancellation, request_id, told
):
    world.works_at(request_id)
    world.say(id=1, result={})
    for _ in range(2):
        cancellation.request()
    with pytest.raises(Cancelled) as caught:
        world.run(cancellation=cancellation, grace=math.inf)
    assert world.supervisor.told == told
    assert ("its worker was ended" in str(caught.value)) == told
    assert not world.worker.alive


@pytest.mark.parametrize(("requests", "grace"), [(2, 5.0), (1, 0.001)])
def test_a_client_that_waits_its_turn_ends_no_job_of_another(world, cancellation, requests, grace):
    def ask(event):
        for _ in range(requests):
            cancellation.request()

    world.say(method="waiting", params={"id": 1, "place": 1})
    with pytest.raises(Cancelled):
        world.worker.run(WorkerRequest({}, 5.0), cancellation, ask, grace)
    assert not world.worker.alive
    assert world.supervisor.told == 0


class Failing(list):
    """Takes events until one of a kind comes."""

    def __init__(self, kind, error):
        self.kind, self.error = kind, error

    def append(self, event):
        super().append(event)
        if event.kind == self.kind:
            raise self.error


@pytest.mark.parametrize(
    "end",
    [{"result": {"outputs": {}}}, {"error": {"code": CANCELLED, "message": "cancelled"}}],
    ids=["quicker", "cancelled"],
)
@pytest.mark.parametrize(
    "error",
    [KeyError("a"), KeyboardInterrupt(), OutputError("a"), ConnectionLost("a"), NotBegun()],
    ids=repr,
)
def test_what_its_caller_raises_ends_the_job_and_not_the_worker(world, error, end):
    events = Failing("log", error)
    for text in ("one", "two"):
        world.say(method="log", params={"id": 1, "text": text})
    world.say(id=1, **end)
    with pytest.raises(type(error)) as caught:
        world.run(events=events)
    assert caught.value is error
    assert error.__cause__ is None
    assert [event.params["text"] for event in events] == ["one"]
    sent = [(body["method"], body["params"]) for body in world.received()]
    assert sent == [("run", {}), ("cancel", {"id": 1})]
    world.say(id=2, result={"outputs": {"text": "next"}})
    assert world.run().body["result"] == {"outputs": {"text": "next"}}
    assert world.supervisor.told == 0


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("why", ["lost", "noise", "a request"])
def test_a_worker_whose_abandoned_job_does_not_end_is_left_to_others_or_stopped(world, why, shared):
    world.worker._shared = shared
    cancellation = Cancellation()
    world.say(method="log", params={"id": 1, "text": "one"})
    if why == "lost":
        world.socket.shutdown(socket.SHUT_WR)
    elif why == "noise":
        world.say(id=7, result={})
    error = KeyError("a")

    class Asking(Failing):
        def append(self, event):
            if why == "a request":
                cancellation.request()
            super().append(event)

    with pytest.raises(KeyError) as caught:
        world.run(cancellation=cancellation, events=Asking("log", error))
    assert caught.value is error
    assert not world.worker.alive
    assert world.supervisor.told == (0 if shared else 1)
    cancellation.close()


def test_a_load_whose_caller_fails_is_ended(world):
    def fail(event):
        raise KeyError("a")

    world.say(method="log", params={"id": 1, "text": "one"})
    with pytest.raises(KeyError):
        world.worker.load(WorkerRequest({}, 5), on_event=fail)
    assert world.supervisor.told == 1


def test_a_job_that_was_cancelled_before_its_model_failed_to_load_is_cancelled(world):
    class Late(Cancellation):
        def drain(self):
            asked = super().drain()
            world.say(id=1, error={"code": NOT_LOADED, "message": "no model"})
            return asked

    late = Late()
    late.request()
    with pytest.raises(Cancelled):
        world.run(cancellation=late)
    late.close()


def test_the_clock_stands_still_while_others_are_before_us(world):
    events = []
    world.say(method="waiting", params={"id": 1, "place": 2})
    world.say(method="started", params={"id": 1})
    world.say(id=1, result={})
    world.run(events=events)
    assert [event.kind for event in events] == ["waiting", "started"]


def test_a_deadline_that_passes_in_the_queue_says_so_and_ends_nothing(world):
    world.supervisor.ended = False
    world.say(method="waiting", params={"id": 1, "place": 2})
    with pytest.raises(TimedOut, match=r"within 0\.2 seconds: it was waiting for its turn"):
        world.run(deadline=Deadline(0.2))
    assert world.supervisor.told == 0
    assert not world.worker.alive


def test_the_state_of_a_worker_that_cannot_speak_says_that_others_are_before_us(world):
    """It is at another's request, then at ours, and nothing comes through the socket."""
    events = []

    class Turns(list):
        def append(self, event):
            super().append(event.kind)
            if event.kind == "waiting":
                assert event.params["place"] == 1
                world.works_at(1)
            else:
                world.say(id=1, result={})

    events = Turns()
    world.supervisor.ended = False
    world.works_at(2)
    world.run(seconds=0.6, events=events)
    assert events == ["waiting", "started"]


def test_a_job_whose_turn_never_came_may_run_elsewhere(world):
    world.say(method="waiting", params={"id": 1, "place": 1})
    world.ended('{"exit": 3, "signal": null, "why": ""}')
    with pytest.raises(NotBegun):
        world.run()


def test_a_job_whose_turn_had_come_may_not(world):
    world.say(method="waiting", params={"id": 1, "place": 1})
    world.say(method="started", params={"id": 1})
    world.ended('{"exit": 3, "signal": null, "why": ""}')
    with pytest.raises(Crashed):
        world.run()


@pytest.mark.parametrize(("at", "ends"), [(2, NotBegun), (1, Crashed), (0, Crashed)])
def test_a_job_may_run_elsewhere_if_its_worker_died_at_that_of_another(world, at, ends):
    world.ended(f'{{"exit": null, "signal": 9, "why": "", "request": {at}}}')
    with pytest.raises(ends):
        world.run()


def test_a_worker_without_its_model_has_not_begun(world):
    world.say(id=1, error={"code": NOT_LOADED, "message": "no model"})
    with pytest.raises(NotBegun):
        world.run()
    assert world.supervisor.told == 0


def test_a_worker_that_died_while_it_was_idle_has_not_begun(world):
    world.socket.close()
    with pytest.raises(NotBegun):
        world.run()


def test_inputs_that_fit_into_no_message_are_the_callers_fault(world):
    with pytest.raises(UsageError, match="cannot be sent"):
        world.worker.run(WorkerRequest({"inputs": {"x": float("nan")}}, 5))
    assert world.worker.alive


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_what_the_machine_refuses_a_runner_is_no_failure_of_the_model(world, number):
    data = {"traceback": "where", "errno": number}
    world.say(id=1, error={"code": REFUSED, "message": "OSError: x", "data": data})
    with pytest.raises(MachineRefused, match=REFUSALS[number].what):
        world.run()
    assert world.worker.alive


def test_a_number_that_no_one_knows_leaves_it_a_failure(world):
    world.say(id=1, error={"code": REFUSED, "message": "why", "data": {"errno": 10**9}})
    with pytest.raises(JobFailed, match="why"):
        world.run()
