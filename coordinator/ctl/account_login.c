/* Account login. */
#include "coordinator/ctl/account_login.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What Twitch said last, as far as it is needed after its callback. */
struct login {
    struct ctl *ctl;
    struct twitch *twitch;
    bool answered;
    enum twitch_verdict verdict;
    char message[512];
    char device_code[ACCOUNT_TOKEN_CHARS];
    char user_code[132];
    char uri[ACCOUNT_TOKEN_CHARS];
    uint64_t interval_ms;
    uint64_t expires_ms;
    struct account_secret *secret;
    char *login;
};

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text != NULL ? text : "");
}

static void on_outcome(void *ctx, const struct twitch_outcome *o)
{
    struct login *l = ctx;

    l->answered = true;
    l->verdict = o->verdict;
    copy(l->message, sizeof(l->message), o->message);
    if (o->device_code != NULL) {
        copy(l->device_code, sizeof(l->device_code), o->device_code);
        copy(l->user_code, sizeof(l->user_code), o->user_code);
        copy(l->uri, sizeof(l->uri), o->verification_uri);
        l->interval_ms = o->interval_s * 1000;
        l->expires_ms = o->expires_in_s * 1000;
    }
    if (o->access_token != NULL) {
        copy(l->secret->access, sizeof(l->secret->access), o->access_token);
        copy(l->secret->refresh, sizeof(l->secret->refresh), o->refresh_token);
    }
    if (o->login != NULL) {
        copy(l->login, 26, o->login);
    }
}

/* Wait for the answer to the call: CTL_DONE whatever it is, or an exit code. */
static int await(struct login *l, struct twitch_call *call)
{
    while (!l->answered && !ctl_is_over(l->ctl)) {
        ctl_turn(l->ctl);
    }
    if (!l->answered) {
        twitch_cancel(call);
        return ctl_over(l->ctl, "Twitch's answer");
    }
    l->answered = false;
    return CTL_DONE;
}

/* For who looks at a terminal: that it still waits, and for how long. */
static void show_progress(const struct login *l, bool waits)
{
    uint64_t now = mono_ms();
    uint64_t left_s = l->ctl->deadline_ms > now ? (l->ctl->deadline_ms - now) / 1000 : 0;

    if (isatty(STDERR_FILENO) == 0) {
        return;
    }
    if (waits) {
        fprintf(stderr, "\rWaiting for it, %llu:%02llu left. ", (unsigned long long)(left_s / 60),
                (unsigned long long)(left_s % 60));
    } else {
        fprintf(stderr, "\r%30s\r", "");
    }
}

/* The next look is due, or the time is over. */
static void await_next(struct login *l)
{
    uint64_t next_ms = mono_ms() + l->interval_ms;

    while (mono_ms() < next_ms && !ctl_is_over(l->ctl)) {
        uint64_t left_ms = next_ms - mono_ms();
        show_progress(l, true);
        ctl_turn_for(l->ctl, left_ms < 1000 ? left_ms : 1000);
    }
}

/* Look now and then whether the code was confirmed. */
static int await_confirmation(struct login *l, const char *scopes)
{
    for (;;) {
        await_next(l);
        if (ctl_is_over(l->ctl)) {
            return ctl_over(l->ctl, "the login");
        }
        int code = await(l, twitch_device_tokens(l->twitch, l->device_code, scopes, on_outcome, l));
        bool slower = strcmp(l->message, "slow_down") == 0;
        bool pending = slower || strcmp(l->message, "authorization_pending") == 0 ||
                       l->verdict == TWITCH_LATER;
        if (code != CTL_DONE || l->verdict == TWITCH_OK) {
            return code;
        }
        if (!pending) {
            return ctl_fail(CTL_FAILED, "Twitch: %s", l->message);
        }
        l->interval_ms += slower ? 5000 : 0; /* RFC 8628, 3.5 */
    }
}

static int log_in(struct login *l, const char *scopes)
{
    struct ctl *c = l->ctl;
    int code = await(l, twitch_device(l->twitch, scopes, on_outcome, l));

    if (code == CTL_DONE && l->verdict != TWITCH_OK) {
        code = ctl_fail(CTL_FAILED, "Twitch: %s", l->message);
    }
    if (code != CTL_DONE) {
        return code;
    }
    ctl_say("Open %s and confirm the code %s, within %llu minutes.", l->uri, l->user_code,
            (unsigned long long)(l->expires_ms / 60000));
    fflush(stdout);
    c->deadline_ms = mono_ms() + l->expires_ms;
    code = await_confirmation(l, scopes);
    show_progress(l, false);
    ctl_restart_deadline(c);
    if (code == CTL_DONE) {
        code = await(l, twitch_validate(l->twitch, l->secret->access, on_outcome, l));
    }
    if (code == CTL_DONE && l->verdict != TWITCH_OK) {
        code = ctl_fail(CTL_FAILED, "Twitch does not take the token it gave: %s", l->message);
    }
    if (code == CTL_DONE && l->login[0] == '\0') {
        code = ctl_fail(CTL_FAILED, "the token that Twitch gave is no user's");
    }
    return code;
}

int account_login(struct ctl *c, const struct twitch_settings *settings, const char *scopes,
                  char login[26], struct account_secret *secret)
{
    struct http *http = http_create(&(struct http_options){
        .loop = &c->loop.uv, .tls_ca = settings->tls_ca, .proxy = settings->proxy});
    struct twitch_options options = settings->twitch;

    options.http = http;
    struct login l = {
        .ctl = c, .twitch = twitch_create(&options), .secret = secret, .login = login};
    int code = log_in(&l, scopes);
    explicit_bzero(l.device_code, sizeof(l.device_code));
    twitch_destroy(l.twitch);
    http_close(http, NULL, NULL);
    return code;
}
