/* Setup: one step after another; each answer leads to the next part.
 *
 * An answer that failed ends the turn: the part is tried again with the next facts. A part that
 * depends on what an earlier one wrote waits until the view shows it. */
#include "coordinator/chores/setup.h"

#include "coordinator/requests/assignment.h"
#include "shared/log.h"
#include "shared/machine.h"
#include "shared/trouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STILL_MS 100 /* the number of nodes must not change: the first shards spread over them */
#define BACK_MS  300 /* nodes that found no cluster look again within 200 ms */
#define POLL_MS  50
#define RETRY_MS 2000 /* of a setup that was given up */

enum part {
    PART_SETTINGS,
    PART_NODES,
    PART_USER,
    PART_MANAGER,
    PART_CHANNELS,
    PART_MARK,
    PART_DONE,
};

static const struct machine_state parts[] = {
    [PART_SETTINGS] = {"settings", MACHINE_BIT(PART_NODES) | MACHINE_BIT(PART_CHANNELS)},
    [PART_NODES] = {"nodes", MACHINE_BIT(PART_USER) | MACHINE_BIT(PART_SETTINGS)},
    [PART_USER] = {"user",
                   MACHINE_BIT(PART_MANAGER) | MACHINE_BIT(PART_DONE) | MACHINE_BIT(PART_SETTINGS)},
    [PART_MANAGER] = {"manager", MACHINE_BIT(PART_CHANNELS) | MACHINE_BIT(PART_USER) |
                                     MACHINE_BIT(PART_SETTINGS)},
    [PART_CHANNELS] = {"channels", MACHINE_BIT(PART_MARK) | MACHINE_BIT(PART_SETTINGS)},
    [PART_MARK] = {"mark", MACHINE_BIT(PART_DONE) | MACHINE_BIT(PART_SETTINGS)},
    [PART_DONE] = {"done", MACHINE_BIT(PART_USER) | MACHINE_BIT(PART_SETTINGS)},
};

struct setup {
    struct setup_options options;
    struct machine part; /* enum part */
    bool busy;           /* an answer is awaited */
    bool is_done;        /* the cluster is set up, as last heard */
    bool was_done;       /* it was once: from then on this process ends for no refusal */
    uint64_t round;      /* of the view that shows what was written */
    uint64_t nodes;
    uint64_t still_since_ms;
    uint64_t created_ms;
    char user[64];     /* chosen here */
    bool user_awaited; /* no node knows it, which was said */
    uint64_t not_before_ms;
    struct err failure;
    struct trouble trouble; /* with it */
    size_t next_channel;    /* PART_CHANNELS */
};

static void check(const void *owner)
{
    const struct setup *s = owner;

    BUG_ON(s->busy || s->next_channel != 0);
    BUG_ON(s->part.state == PART_DONE && !s->is_done);
}

static const struct machine_type machine = {"setup", parts, ARRAY_LEN(parts), NULL, check};

static void advance(struct setup *s);

static struct cluster_view *view(const struct setup *s)
{
    return manager_view(s->options.manager);
}

/* The answer of a step came: true if it may be used. */
static bool answered(struct setup *s, const char *step, const struct err *err)
{
    s->busy = false;
    return leader_stepped(s->options.leader, step, err);
}

/* Is there anything of a cluster? */
static bool has_shards(const struct setup *s)
{
    return cluster_view_shards(view(s)) != NULL;
}

static void set_part(struct setup *s, enum part part)
{
    s->next_channel = 0;
    if (s->part.state != part) {
        machine_move(&s->part, part, s);
    }
}

/* From the beginning, after a while: told, but not with each try. */
static void begin_later(struct setup *s, const struct err *why)
{
    set_part(s, PART_SETTINGS);
    s->not_before_ms = mono_ms() + RETRY_MS;
    if (trouble_is_news(&s->trouble, why, mono_ms())) {
        log_error("setup", "setup.refused", "error", why->text, "in_ms", log_i64(RETRY_MS), "mend",
                  "shoalctl config set changes settings", NULL);
    }
}

static void move_on(struct setup *s, enum part to)
{
    set_part(s, to);
    advance(s);
}

/* Why it was refused. */
static const char *refusal(const struct registry_outcome *outcome)
{
    return outcome->error != NULL ? outcome->error : "refused";
}

/* Settings ------------------------------------------------------------------------------------- */

static void warn_different(const struct setup *s, const struct registry_outcome *outcome)
{
    const struct cluster_settings *given = s->options.settings;

    if (outcome->manager != NULL) {
        log_warn("setup", "manager.different", "cluster", outcome->manager, "given",
                 manager_name(s->options.manager), "mend",
                 "start all coordinators with the shard manager that set the cluster up", NULL);
    }
    for (size_t k = 0; k < outcome->different.n; k++) {
        const struct registry_told *each = &outcome->different.item[k];
        for (size_t i = 0; i < given->n; i += 2) {
            if (slice_is(given->pairs[i], each->name)) {
                log_warn("setup", "setting.different", "name", each->name, "cluster", each->text,
                         "given", log_slice(given->pairs[i + 1]), "mend",
                         "shoalctl config set changes it; --set only when the cluster is created",
                         NULL);
            }
        }
    }
}

static void on_settings(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct setup *s = ctx;
    if (!answered(s, "create", err)) {
        return;
    }
    struct err why;
    if (!outcome->ok) {
        err_set(&why, ERR_USAGE, "--set: %s", refusal(outcome));
        if (!s->was_done && !has_shards(s)) {
            s->options.on_refused(s->options.ctx, &why);
            return;
        }
        log_error("setup", "setting.refused", "error", why.text, NULL);
    } else {
        warn_different(s, outcome);
    }
    s->created_ms = mono_ms();
    s->round = cluster_view_refresh(view(s));
    move_on(s, s->is_done ? PART_CHANNELS : PART_NODES);
}

static void do_settings(struct setup *s)
{
    const struct cluster_settings *given = s->options.settings;
    struct slice *args = xcalloc(given->n + 1, sizeof(*args));

    args[0] = slice_of(manager_name(s->options.manager));
    if (given->n > 0) {
        memcpy(args + 1, given->pairs, given->n * sizeof(*args));
    }
    s->busy = leader_do(s->options.leader, "create", args, given->n + 1, on_settings, s) == 0;
    free(args);
}

/* Nodes and user ------------------------------------------------------------------------------- */

static void do_nodes(struct setup *s)
{
    uint64_t now = mono_ms();
    uint64_t still = s->still_since_ms + STILL_MS;
    uint64_t back = s->created_ms + BACK_MS;
    uint64_t when = s->nodes == 0 ? now + POLL_MS : still > back ? still : back;

    if (now < when) {
        leader_ask_in(s->options.leader, when - now);
        return;
    }
    log_info("setup", "setup.begun", "nodes", log_u64(s->nodes), "manager",
             manager_name(s->options.manager), NULL);
    move_on(s, PART_USER);
}

static void on_user_set(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct setup *s = ctx;
    if (!answered(s, "set", err)) {
        return;
    }
    if (!outcome->ok) {
        struct err refused;
        err_set(&refused, ERR_REFUSED, "user %s: %s", s->user, refusal(outcome));
        begin_later(s, &refused);
        return;
    }
    log_info("setup", "user.chosen", "user", s->user, NULL);
    s->round = cluster_view_refresh(view(s));
}

static void choose_user(struct setup *s)
{
    if (has_shards(s)) {
        snprintf(s->user, sizeof(s->user), "%s", cluster_view_shards(view(s))->user);
    } else {
        cluster_view_first_user(view(s), s->user, sizeof(s->user));
    }
    const struct slice args[] = {SLICE("user"), slice_of(s->user)};
    s->busy = registry_carry_out(leader_registry(s->options.leader),
                                 leader_identity(s->options.leader), &(struct registry_request){0},
                                 "set", args, ARRAY_LEN(args), on_user_set, s) == 0;
}

/* Goes on when somebody can log in as the user. */
static void do_user(struct setup *s)
{
    const char *user = cluster_view_setting(view(s), "user");

    if (user == NULL || user[0] == '\0') {
        choose_user(s);
    } else if (s->is_done) {
        move_on(s, PART_DONE);
    } else if (cluster_view_knows_user(view(s), user)) {
        move_on(s, PART_MANAGER);
    } else {
        if (!s->user_awaited && s->nodes > 0) {
            s->user_awaited = true;
            log_warn("setup", "user.unknown", "user", user, "mend",
                     "no node has a token for it: give one to a node, or choose another with --set "
                     "user=LOGIN",
                     NULL);
        }
        leader_ask_in(s->options.leader, POLL_MS);
    }
}

/* The shard manager's setup -------------------------------------------------------------------- */

static void give_up(struct setup *s)
{
    if (s->was_done) {
        begin_later(s, &s->failure);
    } else {
        s->options.on_refused(s->options.ctx, &s->failure);
    }
}

/* The manager refuses, but there are shards: of a cluster that lost its settings, mostly. They go
 * on as they are. */
static void adopt(struct setup *s, const char *why)
{
    log_error("setup", "setup.adopted", "shards", log_u64(HASH_COUNT(cluster_view_shards(view(s)))),
              "error", why, "mend",
              "the shards go on; settings that were lost have their defaults: shoalctl config set",
              NULL);
    s->round = cluster_view_refresh(view(s));
    move_on(s, PART_CHANNELS);
}

static void on_abandoned(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    (void)outcome;
    struct setup *s = ctx;
    (void)answered(s, "abandon", err);
    give_up(s);
}

/* A cluster that is not set up keeps no settings of the attempt. */
static void abandon(struct setup *s)
{
    const struct cluster_settings *given = s->options.settings;
    struct slice *names = xcalloc(given->n / 2 + 1, sizeof(*names));
    size_t n = 0;

    for (size_t i = 0; i < given->n; i += 2) {
        names[n++] = given->pairs[i];
    }
    if (s->user[0]) {
        names[n++] = SLICE("user"); /* it was chosen here */
    }
    s->busy = leader_do(s->options.leader, "abandon", names, n, on_abandoned, s) == 0;
    free(names);
    if (!s->busy) {
        give_up(s);
    }
}

/* What was in the way passes: once more after a while, when a node knows the user. */
static void again(struct setup *s, const char *error)
{
    struct err why;

    err_set(&why, ERR_REFUSED, "%s", error);
    if (trouble_is_news(&s->trouble, &why, mono_ms())) {
        log_warn("setup", "setup.again", "in_ms", log_i64(RETRY_MS), "error", why.text, NULL);
    }
    set_part(s, PART_USER);
    s->round = cluster_view_refresh(view(s));
    s->not_before_ms = mono_ms() + RETRY_MS;
}

static void on_manager(void *ctx, enum manager_answer answer, const char *text)
{
    struct setup *s = ctx;

    s->busy = false;
    if (answer == MANAGER_DONE) {
        move_on(s, PART_CHANNELS);
    } else if (answer == MANAGER_FAILED && !manager_failure_passes(s->options.manager)) {
        cluster_error(shard_manager_client(s->options.manager), "setup", NULL, text);
        if (has_shards(s)) {
            adopt(s, text);
            return;
        }
        err_set(&s->failure, ERR_REFUSED, "the %s shard manager cannot set the cluster up: %s",
                manager_name(s->options.manager), text);
        abandon(s);
    } else if (answer != MANAGER_OUT) { /* it took too long, or Redis or a node was away */
        again(s, text);
    }
}

static void do_manager(struct setup *s)
{
    s->busy = true;
    manager_ask(s->options.manager, MANAGER_SETUP, "", false, on_manager, s);
}

/* Initial channels ----------------------------------------------------------------------------- */

static size_t portion(const struct setup *s)
{
    size_t left = s->options.channels->n - s->next_channel;
    return left < REGISTRY_MAX_CHANNELS ? left : REGISTRY_MAX_CHANNELS;
}

static void on_channels(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct setup *s = ctx;
    if (!answered(s, "assign", err)) {
        return;
    }
    if (outcome->assigned.n > 0 || outcome->waiting.n > 0) {
        log_info("setup", "initial_channels.joined", "assigned", log_u64(outcome->assigned.n),
                 "waiting", log_u64(outcome->waiting.n), NULL);
    }
    s->next_channel += portion(s);
    advance(s);
}

static void do_channels(struct setup *s)
{
    if (s->next_channel >= s->options.channels->n) {
        move_on(s, PART_MARK);
        return;
    }
    const struct assignment_request initial = {
        .manager = s->options.manager,
        .mode = "initial",
        .channels = s->options.channels->names + s->next_channel,
        .n = portion(s),
        .cb = on_channels,
        .ctx = s,
    };
    s->busy = true;
    assignment_begin(&initial);
}

static void on_marked(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    (void)outcome;
    struct setup *s = ctx;
    if (answered(s, "setup_done", err)) {
        s->is_done = s->was_done = true;
        trouble_over(&s->trouble);
        log_info("setup", "setup.done", NULL);
        move_on(s, PART_DONE);
        s->options.on_done(s->options.ctx);
    }
}

static void do_mark(struct setup *s)
{
    if (s->is_done) {
        move_on(s, PART_DONE);
        return;
    }
    s->busy = leader_do(s->options.leader, "setup_done", NULL, 0, on_marked, s) == 0;
}

/* Outside -------------------------------------------------------------------------------------- */

static void advance(struct setup *s)
{
    static void (*const begin[])(struct setup *s) = {
        [PART_SETTINGS] = do_settings, [PART_NODES] = do_nodes,       [PART_USER] = do_user,
        [PART_MANAGER] = do_manager,   [PART_CHANNELS] = do_channels, [PART_MARK] = do_mark,
    };
    if (!s->busy && s->part.state != PART_DONE && mono_ms() >= s->not_before_ms &&
        leader_may_act(s->options.leader) && cluster_view_is_whole(view(s)) &&
        cluster_view_round(view(s)) >= s->round) {
        begin[s->part.state](s);
    }
}

struct setup *setup_create(const struct setup_options *options)
{
    struct setup *s = xcalloc(1, sizeof(*s));
    s->options = *options;
    machine_begin(&s->part, &machine, PART_SETTINGS);
    return s;
}

void setup_begin(struct setup *s)
{
    if (s->part.state != PART_DONE && !s->busy) {
        set_part(s, PART_SETTINGS);
    }
}

void setup_on_facts(struct setup *s, const struct registry_lead *facts)
{
    s->is_done = facts->setup_done;
    s->was_done = s->was_done || s->is_done;
    if (facts->nodes != s->nodes || s->still_since_ms == 0) {
        s->nodes = facts->nodes;
        s->still_since_ms = mono_ms();
    }
    if (s->part.state == PART_DONE && !s->busy) {
        if (!s->is_done) {
            set_part(s, PART_SETTINGS); /* Redis lost it all */
        } else if (facts->user.len == 0 && s->nodes > 0) {
            set_part(s, PART_USER); /* somebody unset it */
        }
    }
    advance(s);
}

void setup_on_view(struct setup *s)
{
    if (s->part.state != PART_SETTINGS) { /* which depends on facts of this lead */
        advance(s);
    }
}

void setup_destroy(struct setup *s)
{
    free(s);
}
