"""Checks of tokens, by Twitch's own record: no refresh token is presented when it is used up, nobody logs in with a dead
access token, and whoever has to log in anew has a reason.

What Twitch alone knows is not held against anybody until it could be known: tokens that were ended before their time.
And a refresh whose answer died with its asker is found out by asking once more.
"""

from collections import defaultdict

from account_faults import CLAIM_S, LIFE_S

STORED_S = 8.0  # at most so long after Twitch carried a refresh out Redis has what came of it: a late answer, Redis away
KNOWN_S = 4.0  # and so long after that all nodes go by it
NOTED_S = 0.2  # the timeline says when something was done, or shortly before or after
EARLY_S = LIFE_S / 2  # no refresh follows another so soon
LOSSES = ("killed c", "SIGSTOP c", "spoilt a refresh")  # an answer may be lost with these
USED_UP = "a used-up refresh token was presented"
EARLY = "an account was refreshed too early"
DEAD = "somebody logged in with a dead token"
REASON = "an account was dead without a reason"


class Tokens:
    def __init__(self, timeline, accounts):
        self._timeline = timeline
        self._complain = timeline.complain
        self._accounts = accounts

    def at_end(self, log):
        """log: the simulator's, of all that it was asked. Returns a line of figures."""
        refreshes = self._refresh_tokens(log["refresh_tokens"])
        dead_logins = self._access_tokens(log["access_tokens"])
        for mend in self._accounts.mends:
            if mend.state == "login_required":
                self._has_reason(mend)
        struck = len(self._timeline.when("fault", "a refresh is "))
        required = sum(mend.state == "login_required" for mend in self._accounts.mends)
        kind = "public" if self._accounts.is_public else "confidential"
        return (
            f"{kind} client, {refreshes} refreshes, {struck} strikes in one, {required} logins required, "
            f"{len(self._accounts.mends)} granted anew, {dead_logins} with tokens that had been ended"
        )

    # Refresh tokens -------------------------------------------------------------------------------------------

    def _refresh_tokens(self, tokens):
        for token in tokens:
            used, refused = token["used_ms"] / 1000, token["refused_ms"] / 1000
            who = f"{token['login']}, {token['hash']}: used {token['used']} times, refused {token['refused']} times"
            if self._accounts.is_public and token["used"] > 1:
                self._complain("a refresh token was used twice", who, used)
            if token["used"] and self._accounts.is_public:
                since = used + STORED_S if self._may_be_lost(used) else None
            else:
                since = self._taken_back(token["login"], refused)
            most = 0 if since is None else 1 + self._deaths(since, refused)
            if token["refused"] > most and not self._was_forgotten(refused):
                self._complain(USED_UP, who, refused)
        self._in_time(tokens)
        return sum(token["used"] for token in tokens)

    def _may_be_lost(self, used):
        """What a refresh of that time brought: did somebody die, or Twitch answer badly, before it was stored?"""
        return self._deaths(used - 1, used + STORED_S) > 0

    def _was_forgotten(self, at):
        """Where Redis came back with older data, the token that it has is found to be used up when it is next needed."""
        return any(self._timeline.is_excused(USED_UP, at - s) for s in range(int(LIFE_S + CLAIM_S + STORED_S)))

    def _taken_back(self, login, at):
        """When the user took back all before that, or None."""
        return max((t for t in self._timeline.when("fault", f"{login} took back all") if t <= at), default=None)

    def _deaths(self, since, until):
        """Refusals die with their askers as well, and whoever comes next is refused once more."""
        return sum(since <= at <= until for at in self._timeline.when("fault", LOSSES))

    def _in_time(self, tokens):
        """With a public client each refresh has a token of its own, and its time is known."""
        times = defaultdict(list)
        for token in tokens if self._accounts.is_public else ():
            if token["used"]:
                times[token["login"]].append(token["used_ms"] / 1000)
        for login, used in times.items():
            used.sort()
            for before, at in zip(used, used[1:]):
                if at - before < EARLY_S and not self._is_urged(login, before, at):
                    self._complain(EARLY, f"{login}: {at - before:.3f} s after the refresh before", at)

    def _is_urged(self, login, before, at):
        """Did its tokens end since the one before, or are there others? One refresh for all nodes is enough then."""
        ended = self._timeline.when("fault", f"ended the tokens of {login}")
        granted = [mend.at for mend in self._accounts.mends if mend.login == login]
        return any(before <= end + NOTED_S and end <= at for end in ended) or any(before - STORED_S <= end <= at for end in granted)

    # Access tokens --------------------------------------------------------------------------------------------

    def _access_tokens(self, tokens):
        made = defaultdict(list)
        for token in tokens:
            made[token["login"]].append(token["made_ms"] / 1000)
        count = 0
        for token in tokens:
            if token["dead_logins"]:
                count += token["dead_logins"]
                self._could_not_be_known(token, made[token["login"]])
        return count

    def _could_not_be_known(self, token, made):
        login, at = token["login"], token["dead_login_ms"] / 1000
        words = (f"ended the tokens of {login}", f"{login} took back all")
        died = [end for end in self._timeline.when("fault", words) if token["made_ms"] / 1000 <= end + NOTED_S and end <= at + NOTED_S]
        since = min(died, default=None)
        # From then on the next token takes its place.
        another = min((t for t in made if since and t > since), default=float("inf"))
        if since is None or at > another + STORED_S + KNOWN_S:
            self._complain(
                DEAD, f"{login}, {token['hash']}: it lived until {token['ends_ms'] / 1000 - self._timeline.began:.3f}, "
                f"ended: {since}, the next one: {another}, {token['dead_logins']} times", at,
            )  # fmt: skip

    # The dead -------------------------------------------------------------------------------------------------

    def _has_reason(self, mend):
        """Twitch did not take its refresh token any more."""
        lost = "may have used up the refresh token" in mend.error
        if not lost and not self._was_forgotten(mend.at) and self._taken_back(mend.login, mend.at) is None:
            self._complain(REASON, f"{mend.login}: {mend.error}", mend.at)
