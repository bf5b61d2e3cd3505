/* Restate: two lists, oldest first; that of the sends is uthash's own. See restate.h. */
#include "node/restate.h"

#include "shared/json.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define PORTION       200 /* sends or draws in a call */
#define PORTION_BYTES ((size_t)1024 * 1024)

struct said {
    UT_hash_handle hh; /* in the order of changed_ms */
    char *entry;
    char *channel;
    char *id;    /* NULL: not known */
    char *shard; /* the same */
    uint64_t claimed_ms;
    uint64_t wait_ms;
    uint64_t changed_ms;
    const char *status; /* "claimed", "unclaimed", or send_status_name */
    char *reason;
    char *text;
    char *message_id;
    char *parts; /* of a text that is split, how many were said; NULL: none, or it is not */
    bool told;
};

struct drawn {
    struct drawn *prev;
    struct drawn *next;
    const char *kind;
    uint64_t drawn_ms;
    uint64_t wait_ms;
    char user[26];
};

struct restate {
    struct said *sends; /* by entry */
    struct drawn *draws;
    size_t ndraws;
    bool telling;
};

struct restate *restate_create(void)
{
    return xcalloc(1, sizeof(struct restate));
}

static void said_free(struct restate *r, struct said *said)
{
    HASH_DEL(r->sends, said);
    free(said->entry);
    free(said->channel);
    free(said->id);
    free(said->shard);
    free(said->reason);
    free(said->text);
    free(said->message_id);
    free(said->parts);
    free(said);
}

static void drawn_free(struct restate *r, struct drawn *drawn)
{
    DL_DELETE(r->draws, drawn);
    r->ndraws--;
    free(drawn);
}

void restate_destroy(struct restate *r)
{
    while (r->sends != NULL) {
        said_free(r, r->sends);
    }
    while (r->draws != NULL) {
        drawn_free(r, r->draws);
    }
    free(r);
}

/* Those under way are few, and at the end of the list. */
static void forget_old(struct restate *r, uint64_t now)
{
    struct said *said;
    struct said *tmp;

    HASH_ITER(hh, r->sends, said, tmp)
    {
        bool old = now - said->changed_ms > RESTATE_MS || HASH_COUNT(r->sends) > RESTATE_SENDS;
        if (!old) {
            break;
        }
        if (said->told && strcmp(said->status, "claimed") != 0) {
            said_free(r, said);
        }
    }
    while (r->draws != NULL &&
           (r->ndraws > RESTATE_DRAWS || now - r->draws->drawn_ms > RESTATE_MS)) {
        drawn_free(r, r->draws);
    }
}

static struct said *said_find(const struct restate *r, const char *entry)
{
    struct said *said;

    HASH_FIND(hh, r->sends, entry, strlen(entry), said);
    return said;
}

/* What happened to an entry now; the newest. */
static struct said *said_note(struct restate *r, const char *entry, const char *channel,
                              const char *status)
{
    uint64_t now = mono_ms();

    forget_old(r, now);
    struct said *said = said_find(r, entry);
    if (said == NULL) {
        said = xcalloc(1, sizeof(*said));
        said->entry = xstrdup(entry);
        said->channel = xstrdup(channel);
    } else {
        HASH_DEL(r->sends, said);
    }
    HASH_ADD_KEYPTR(hh, r->sends, said->entry, strlen(said->entry), said);
    said->status = status;
    said->changed_ms = now;
    return said;
}

void restate_claimed(struct restate *r, const char *entry, const char *channel, const char *id,
                     const char *shard, uint64_t wait_ms)
{
    struct said *said = said_note(r, entry, channel, "claimed");

    free(said->id);
    free(said->shard);
    said->id = xstrdup(id);
    said->shard = xstrdup(shard);
    said->claimed_ms = said->changed_ms;
    said->wait_ms = wait_ms;
    said->told = true;
}

void restate_unclaimed(struct restate *r, const char *entry, const char *channel)
{
    said_note(r, entry, channel, "unclaimed")->told = true;
}

void restate_settled(struct restate *r, const char *entry, const struct send_outcome *outcome)
{
    struct said *said = said_find(r, entry);

    if (said == NULL) {
        return;
    }
    said = said_note(r, entry, said->channel, send_status_name(outcome->status));
    free(said->reason);
    free(said->text);
    free(said->message_id);
    said->reason = xstrndup(outcome->reason.ptr, outcome->reason.len);
    said->text = xstrndup(outcome->text.ptr, outcome->text.len);
    said->message_id = xstrndup(outcome->message_id.ptr, outcome->message_id.len);
    if (outcome->parts.len > 0) {
        free(said->parts);
        said->parts = xstrndup(outcome->parts.ptr, outcome->parts.len);
    }
    said->told = false;
}

void restate_part(struct restate *r, const char *entry, const char *parts)
{
    struct said *said = said_find(r, entry);

    if (said != NULL) {
        free(said->parts);
        said->parts = xstrdup(parts);
    }
}

void restate_told(struct restate *r, const char *entry)
{
    struct said *said = said_find(r, entry);

    if (said != NULL) {
        said->told = true;
    }
}

void restate_lost(struct restate *r)
{
    for (struct said *said = r->sends; said != NULL; said = said->hh.next) {
        if (strcmp(said->status, "claimed") == 0) {
            said->status = send_status_name(SEND_UNKNOWN);
            said->reason = xstrdup("node_lost");
            said->text =
                xstrdup("The node that was sending it lost its lease; it may have been said.");
        }
    }
}

void restate_drew(struct restate *r, const char *user, const char *kind, uint64_t wait_ms)
{
    struct drawn *drawn = xcalloc(1, sizeof(*drawn));

    snprintf(drawn->user, sizeof(drawn->user), "%s", user);
    drawn->kind = kind;
    drawn->drawn_ms = mono_ms();
    drawn->wait_ms = wait_ms;
    DL_APPEND(r->draws, drawn);
    r->ndraws++;
    forget_old(r, drawn->drawn_ms);
}

/* Telling -------------------------------------------------------------------------------------- */

static void put_said(struct json *j, const struct said *said, uint64_t now)
{
    json_object_begin(j, NULL);
    json_string(j, "entry", said->entry);
    json_string(j, "channel", said->channel);
    json_string(j, "status", said->status);
    if (said->id != NULL) {
        json_string(j, "id", said->id);
        json_string(j, "shard", said->shard);
        json_number(j, "ago_ms", (int64_t)(now - said->claimed_ms));
        json_number(j, "wait_ms", (int64_t)said->wait_ms);
    }
    if (said->reason != NULL) {
        json_string(j, "reason", said->reason);
        json_string(j, "text", said->text);
    }
    if (said->message_id != NULL) {
        json_string(j, "message_id", said->message_id);
    }
    if (said->parts != NULL) {
        json_string(j, "parts", said->parts);
    }
    json_number(j, "told", said->told ? 1 : 0);
    json_object_end(j);
}

/* One portion, from these places on, which move behind it. */
static void put_portion(struct json *j, const struct said **said, const struct drawn **drawn)
{
    uint64_t now = mono_ms();
    size_t left = PORTION;

    json_object_begin(j, NULL);
    json_array_begin(j, "sends");
    for (; *said != NULL && left > 0; *said = (*said)->hh.next, left--) {
        put_said(j, *said, now);
    }
    json_array_end(j);
    json_array_begin(j, "draws");
    for (; *drawn != NULL && left > 0; *drawn = (*drawn)->next, left--) {
        json_object_begin(j, NULL);
        json_string(j, "user", (*drawn)->user);
        json_string(j, "kind", (*drawn)->kind);
        json_number(j, "ago_ms", (int64_t)(now - (*drawn)->drawn_ms));
        json_number(j, "wait_ms", (int64_t)(*drawn)->wait_ms);
        json_object_end(j);
    }
    json_array_end(j);
    json_object_end(j);
}

static void on_told(void *ctx, const struct err *err)
{
    struct restate *r = ctx;

    if (err != NULL && err->code == ERR_CANCELED) {
        return; /* the link is closed for good, and this may be gone */
    }
    r->telling = false;
    if (err != NULL && (err->code == ERR_REPLY || err->code == ERR_STRANGE)) {
        log_warn("restate", "restate.refused", "error", err->text, NULL);
    }
}

void restate_tell(struct restate *r, struct registry *registry, const char *node,
                  const char *incarnation, uint64_t back_ms)
{
    bool more = true;

    if (r->telling) {
        return;
    }
    forget_old(r, mono_ms());
    const struct said *said = r->sends;
    const struct drawn *drawn = r->draws;
    log_info("restate", "restate.begun", "sends", log_u64(HASH_COUNT(r->sends)), "draws",
             log_u64(r->ndraws), NULL);
    while (more) {
        struct buf text;
        struct json j;
        buf_init(&text, PORTION_BYTES);
        json_init(&j, &text);
        put_portion(&j, &said, &drawn);
        more = said != NULL || drawn != NULL;
        /* Answers come in order: that of the last portion says that all of it is there. */
        int rc = registry_restate(registry, node, incarnation, buf_slice(&text), !more, back_ms,
                                  more ? NULL : on_told, r);
        buf_finish(&text);
        if (rc != 0) {
            return; /* the link is down: asked for again */
        }
        r->telling = !more;
    }
}
