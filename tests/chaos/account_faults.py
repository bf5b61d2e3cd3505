"""Accounts: three users whose tokens lie in Redis and live for seconds, the operator who grants them anew where that is
needed, and what goes wrong with id.twitch.tv and with whoever asks it.

What these faults are for: who leads is killed, stopped or stands still at each moment of a refresh. A refresh whose
answer died with it has used up the token of a public client, and nobody but the user can mend that.
"""

import contextlib
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import redis

import plan
from accounts import account, add, start_twitch  # of tests/cluster
from timeline import Taken

LIFE_S = 20
CLAIM_S = 30  # of an account, by who leads (09_accounts.lua)
VALIDATE, TOKEN = "/oauth2/validate", "/oauth2/token"
MEND_AFTER_S = 1.0  # an operator is no machine
LONGEST_REFRESH_S = LIFE_S + 5  # until one begins by itself


@dataclass
class Mend:
    """A login that was granted anew."""

    login: str
    at: float  # wall clock, when that was asked for
    state: str
    error: str


class Accounts:
    def __init__(self, cluster, timeline, seed):
        self.mends = []
        self._cluster = cluster
        self._timeline = timeline
        self.is_public = seed % 4 != 0
        self.granted = []  # texts of tokens, which nobody may see
        self._operator = ThreadPoolExecutor(max_workers=1)
        self._mending = {}  # login -> what is under way
        self._unwell = {}  # login -> since when

    # Programs -----------------------------------------------------------------------------------------------

    def start_sim(self, *args):
        """Twitch, where the application and the users are known; and options for programs."""
        cluster = self._cluster
        start_twitch(cluster, cluster.directory, *args)
        cluster.sim.control(f"token ttl {LIFE_S * 1000}")
        for login in plan.USERS:  # a token that nobody has: what it may say, and where it is moderator
            cluster.sim.control(f"user {login} token=unused-{login} mod={','.join(plan.MODERATED)}")
        cluster.write_tokens({})
        self.node_args = ["--account-keys", cluster.keys]
        self.coordinator_args = list(cluster.account_args)
        if not self.is_public:
            secret = cluster.directory / "client-secret"
            secret.touch(mode=0o600)
            secret.write_text("chaos-secret")
            cluster.sim.control("app app chaos-secret")
            self.coordinator_args += ["--client-secret", secret]

    # The operator -------------------------------------------------------------------------------------------

    def grant(self, login):
        """The user agrees, and what Twitch gave is handed to the cluster."""
        granted = add(self._cluster, self._cluster.directory, login)
        self.granted += [granted["access_token"], granted["refresh_token"]]

    def begin(self):
        for login in plan.USERS:
            self.grant(login)

    def state(self, login):
        """State and error; ("gone", "") where Redis has forgotten it."""
        key = self._cluster.key
        known = self._cluster.redis.zscore(key("accounts"), login) is not None
        of = account(self._cluster, login)
        if not known or "state" not in of or not self._cluster.redis.exists(key(f"secret:{login}")):
            return "gone", ""
        return of["state"], of.get("error", "")

    def look(self):
        """Whose login is required gets it, a moment later."""
        for login in plan.USERS:
            running = self._mending.get(login)
            if running and not running.done():
                continue
            if running:
                running.result()
                del self._mending[login]
            try:
                state, error = self.state(login)
            except redis.RedisError:
                continue
            if state not in ("gone", "login_required"):
                self._unwell.pop(login, None)
            elif time.monotonic() - self._unwell.setdefault(login, time.monotonic()) > MEND_AFTER_S:
                del self._unwell[login]
                self._mending[login] = self._operator.submit(self._mend, login, state, error)

    def _mend(self, login, state, error):
        self._timeline.note("account", f"{login} is {state} ({error}): its login is granted anew")
        self.mends.append(Mend(login, time.time(), state, error))
        try:
            self.grant(login)
            self._timeline.note("account", f"shoalctl account add {login}")
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self._timeline.note("account", f"shoalctl account add {login}: {error}")

    def unwell(self):
        """Those that are not usable: how they are."""
        states = {login: self.state(login) for login in plan.USERS}
        return {login: state for login, state in states.items() if state[0] != "usable"}

    def close(self):
        self._operator.shutdown(wait=True)


class AccountFaults:
    """Faults as in faults.py; `_accounts`, `_sim`, `_timeline`, `_hands_on`, `_until` and `_note` are its."""

    @contextlib.contextmanager
    def _hands_on_path(self, path):
        if path in self._taken:
            raise Taken(path)
        self._taken.add(path)
        try:
            yield
        finally:
            self._taken.discard(path)
            self._sim(f"http {path} off")
            self._note(f"{path} is well again")

    def http_fault(self, path, what, for_s):
        """Answers like that, of which none was carried out, for a time."""
        with self._hands_on_path(path):
            self._sim(f"http {path} {what}")
            yield for_s

    def spoil_refresh(self, how):
        """One refresh is carried out, and its answer is none."""
        with self._hands_on_path(TOKEN):
            before = self._requests(TOKEN)
            self._sim(f"http {TOKEN} {how} times=1")
            yield from self._while(lambda: self._requests(TOKEN) == before, LONGEST_REFRESH_S)
            self._note("spoilt a refresh" if self._requests(TOKEN) > before else "nobody refreshed")

    def token_ends(self, login):
        """Twitch ends the user's access tokens before their time, and closes all connections of the user."""
        self._sim(f"token expire {login}", check=False)
        self._note(f"ended the tokens of {login}")
        self._sim(f"disconnect user={login}", check=False)
        yield 0

    def user_takes_back(self, login):
        """All that it granted; connections stay."""
        self._sim(f"revoke {login}")
        self._note(f"{login} took back all")
        yield 0

    def strike_at_refresh(self, moment, how, down_s):
        """Kill, stop or halt who leads at a moment of the next refresh, whichever account it is of."""
        path, fault = {
            "claimed": (VALIDATE, "late=1500"),  # nothing is lost yet
            "sent": (TOKEN, "silence"),  # it did not reach Twitch
            "answered": (TOKEN, "late=1500"),  # Twitch has carried it out
            "kept": (TOKEN, None),  # Redis may have it or not
        }[moment]
        with self._hands_on_path(path), self._hands_on("leader") as (leader,):
            if fault:
                self._sim(f"http {path} {fault} times=1")
            before = self._requests(path)
            yield from self._while(lambda: self._requests(path) == before, LONGEST_REFRESH_S, 0.002)
            if self._requests(path) == before:
                self._note("nobody refreshed")
                return
            self._note(f"a refresh is {moment}")
            yield from self._strike(leader, how, down_s)

    def _strike(self, process, how, down_s):
        if how == "kill":
            process.kill()
            self._note(f"killed {process.name}")
            yield down_s
        elif how == "pause":
            process.pause()
            self._note(f"SIGSTOP {process.name}")
            yield down_s
            process.resume()
            self._note(f"SIGCONT {process.name}")
            return
        else:
            process.expected_to_end = True
            process.signal(signal.SIGTERM)
            self._note(f"SIGTERM {process.name}")
            yield from self._until(lambda: not process.is_running(), 40, f"{process.name} stops after SIGTERM")
        process.start()
        self._note(f"started {process.name}")

    @staticmethod
    def _while(condition, most_s, every_s=0.05):
        deadline = time.monotonic() + most_s
        while condition() and time.monotonic() < deadline:
            yield every_s

    def _requests(self, path):
        return self._sim("http log requests")["requests"].get(path, {}).get("total", 0)
