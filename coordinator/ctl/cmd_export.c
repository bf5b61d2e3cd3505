/* shoalctl export and import: wanted channels and settings as a text (transfer.h), out of a cluster
 * and into one. */
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/input.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/transfer.h"
#include "shared/file.h"
#include "shared/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRONG_TOLD 20 /* lines, or what is no line, that are told one by one */

/* Out ------------------------------------------------------------------------------------------ */

/* A shard, and whom its channels were asked to be read as ("": nobody in particular). */
struct shard_user {
    const char *shard;
    const char *user;
};

struct out {
    const struct records *records;
    struct shard_user *shards; /* by name */
    size_t nshards;
    struct buf text;
    size_t left_out; /* settings and channels that cannot stand in it */
};

static void leave_out(struct out *o, const char *kind, struct slice name)
{
    if (o->left_out++ < WRONG_TOLD) {
        (void)ctl_fail(0, "%s %.*s cannot stand in a text: it is left out", kind, (int)name.len,
                       name.ptr);
    }
}

static void append_settings(struct out *o)
{
    const cJSON *setting;

    cJSON_ArrayForEach(setting, o->records->settings)
    {
        const char *name = records_text(setting, "name");
        const char *value = records_text(setting, "value");
        if (strcmp(value, records_text(setting, "default")) != 0 &&
            !transfer_append_setting(&o->text, name, value)) {
            leave_out(o, "setting", slice_of(name));
        }
    }
}

/* Their tokens stay where they are: they are to be logged in again. */
static void append_accounts(struct out *o)
{
    static const char *const fields[] = {"account", "reads", "says", "say_by", "tier"};
    const cJSON *account;

    cJSON_ArrayForEach(account, o->records->accounts)
    {
        buf_append_char(&o->text, '#');
        for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
            buf_printf(&o->text, " %s ", fields[i]);
            text_append_safe(&o->text, slice_of(records_text(account, fields[i])));
        }
        buf_append_char(&o->text, '\n');
    }
}

static int by_shard(const void *left, const void *right)
{
    const struct shard_user *a = left;
    const struct shard_user *b = right;

    return strcmp(a->shard, b->shard);
}

/* What is read as somebody who is no reader of the cluster must have been asked for so. */
static void note_shards(struct out *o)
{
    const cJSON *shard;

    o->shards = xcalloc((size_t)cJSON_GetArraySize(o->records->shards) + 1, sizeof(*o->shards));
    cJSON_ArrayForEach(shard, o->records->shards)
    {
        const char *user = records_text(shard, "user");
        bool reads = records_find(o->records->readers, "reader", user) != NULL;
        o->shards[o->nshards++] =
            (struct shard_user){records_text(shard, "shard"), reads ? "" : user};
    }
    qsort(o->shards, o->nshards, sizeof(*o->shards), by_shard);
}

/* Whom the channel was asked to be read as; "": nobody in particular. One that waits knows. */
static const char *asked_user(const struct out *o, const struct figures_channel *channel,
                              const struct registry_hash *hash)
{
    const struct shard_user key = {.shard = channel->shard.ptr};

    for (size_t i = 0; channel->shard.len == 0 && i + 1 < hash->n; i += 2) {
        if (slice_is(hash->word[i], "user")) {
            return hash->word[i + 1].ptr;
        }
    }
    const struct shard_user *at =
        bsearch(&key, o->shards, o->nshards, sizeof(*o->shards), by_shard);
    return at != NULL ? at->user : "";
}

static void on_channel(void *ctx, const struct figures_channel *channel,
                       const struct registry_hash *hash)
{
    struct out *o = ctx;

    /* A user that is no login was asked for by nobody: somebody damaged the hash. */
    if (!transfer_append_channel(&o->text, channel->channel, asked_user(o, channel, hash)) &&
        !transfer_append_channel(&o->text, channel->channel, "")) {
        leave_out(o, "channel", channel->channel);
    }
}

/* All of it, down to the disk where it goes to one. Closes `fd`; 0, or errno. */
static int write_all(int fd, const struct buf *text)
{
    FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool good = to != NULL && fwrite(text->data, 1, text->len, to) == text->len &&
                fflush(to) == 0 && (fsync(fd) == 0 || errno == EINVAL);
    int why = good ? 0 : errno;

    if (to != NULL && fclose(to) != 0 && good) {
        why = errno;
    }
    return why;
}

/* A device, a FIFO, what a link leads to: it stays what it is. A FIFO that nobody reads is not
 * waited for. 0, or errno. */
static int write_through(const char *path, const struct buf *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);

    if (fd >= 0) {
        (void)fcntl(fd, F_SETFL, 0);
    }
    return write_all(fd, text);
}

/* A file in the place of the `old` one, if there is one, with its owner and mode: all of the text,
 * or nothing of it, since what was there before may be all there is. 0, or errno. */
static int replace(const char *path, const struct stat *old, const struct buf *text)
{
    char random[17];

    random_hex(random, 8);
    char *fresh = xasprintf("%s.%s", path, random);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, old != NULL ? 0600 : 0666);
    int why = errno;
    if (fd >= 0) {
        if (old != NULL) {
            (void)!fchown(fd, old->st_uid, old->st_gid); /* where one may */
            (void)fchmod(fd, old->st_mode & 0777);
        }
        why = write_all(fd, text);
        why = why == 0 && rename(fresh, path) != 0 ? errno : why;
        if (why != 0) {
            (void)unlink(fresh);
        }
    }
    free(fresh);
    return why;
}

static int write_file(const char *path, const struct buf *text)
{
    struct stat st;
    bool is_there = lstat(path, &st) == 0;
    int why = is_there && !S_ISREG(st.st_mode) ? write_through(path, text)
                                               : replace(path, is_there ? &st : NULL, text);

    return why == 0 ? CTL_DONE : ctl_fail(CTL_FAILED, "cannot write %s: %s", path, strerror(why));
}

static int run_export(struct ctl *c)
{
    const char *path = c->nargs > 0 ? ctl_arg(c, 0) : "-";
    struct records r;

    if (c->nargs > 1) {
        return ctl_usage(c);
    }
    int code =
        ctl_records(c, RECORDS_SETTINGS | RECORDS_SHARDS | RECORDS_READERS | RECORDS_ACCOUNTS, &r);
    struct out o = {.records = &r};
    buf_init(&o.text, INPUT_MAX_BYTES); /* import takes no more */
    buf_printf(&o.text, "# Cluster %s, by shoalctl export; shoalctl import takes it.\n",
               options_string(c->options, "cluster"));
    if (code == CTL_DONE) {
        append_settings(&o);
        append_accounts(&o);
        note_shards(&o);
        code = ctl_each_channel(c, on_channel, &o);
    }
    if (code == CTL_DONE && o.text.overflow) {
        code = ctl_fail(CTL_FAILED, "there are too many channels for one text");
    } else if (code == CTL_DONE && strcmp(path, "-") == 0) {
        fwrite(o.text.data, 1, o.text.len, stdout);
    } else if (code == CTL_DONE) {
        code = write_file(path, &o.text);
    }
    if (o.left_out > WRONG_TOLD) {
        (void)ctl_fail(0, "and %zu more are left out", o.left_out - WRONG_TOLD);
    }
    if (code == CTL_DONE && o.left_out > 0) {
        code = CTL_FAILED;
    }
    buf_finish(&o.text);
    free(o.shards);
    records_finish(&r);
    return code;
}

CTL_COMMAND(export, "[FILE]", "The wanted channels and the settings as text (no tokens).", NULL,
            RIGHTS_VIEW, run_export);

/* In ------------------------------------------------------------------------------------------- */

struct in {
    struct ctl *ctl;
    const char *path;
    struct transfer what;
    size_t wrong; /* lines */
    /* What became of it: */
    uint64_t set;
    uint64_t unchanged;
    uint64_t not_set;
    uint64_t assigned;
    uint64_t waiting;
    uint64_t refused;
};

static void on_wrong(void *ctx, size_t line, const char *why)
{
    struct in *in = ctx;

    if (in->wrong++ < WRONG_TOLD) {
        (void)ctl_fail(0, "%s:%zu: %s", in->path, line, why);
    }
}

/* The text is kept in *text, which is `file`'s or `typed`'s. */
static int read_text(struct in *in, struct file *file, struct buf *typed, char **text)
{
    struct err err = {0};

    if (strcmp(in->path, "-") == 0) {
        int code = input_read(in->ctl, typed);
        *text = typed->data;
        return code;
    }
    if (file_read(in->path, "an export of a cluster", INPUT_MAX_BYTES, file, &err) != 0) {
        return ctl_fail(err_exit_code(err.code), "%s", err.text);
    }
    if (memchr(file->text, '\0', file->len) != NULL) {
        return ctl_fail(CTL_USAGE, "%s holds a NUL byte", in->path);
    }
    *text = file->text;
    return CTL_DONE;
}

static void tell_refused(const struct in *in, const char *kind, const char *which, const char *why)
{
    if (in->ctl->json) {
        cJSON *record = cJSON_CreateObject();
        cJSON_AddStringToObject(record, kind, which);
        cJSON_AddStringToObject(record, "state", "refused");
        cJSON_AddStringToObject(record, "reason", why);
        table_json(record);
        cJSON_Delete(record);
    }
    (void)ctl_fail(0, "%s: %s", which, why);
}

/* One that is as it should be is left alone: each change is an event, and reaches all nodes. */
static int set_one(struct in *in, const struct transfer_pair *setting, const struct records *now)
{
    struct registry_pair fields[] = {{"name", setting->name}, {"value", setting->value}};
    struct registry_outcome outcome = {0};

    if (strcmp(records_setting(now, setting->name), setting->value) == 0) {
        in->unchanged++;
        return CTL_DONE;
    }
    int code = ask_coordinator(in->ctl, "set", fields, ARRAY_LEN(fields), &outcome);
    if (code == CTL_DONE && outcome.ok) {
        in->set++;
    } else if (code == CTL_DONE) {
        in->not_set++;
        tell_refused(in, "setting", setting->name,
                     outcome.error != NULL ? outcome.error : "refused");
    }
    registry_outcome_finish(&outcome);
    return code;
}

static int set_all(struct in *in)
{
    struct records now;

    if (in->what.nsettings == 0) {
        return CTL_DONE;
    }
    in->ctl->needs |= RIGHTS_CONFIG | RIGHTS_ADMIN;
    int code = ctl_records(in->ctl, RECORDS_SETTINGS, &now);
    for (size_t i = 0; i < in->what.nsettings && code == CTL_DONE; i++) {
        code = set_one(in, &in->what.settings[i], &now);
    }
    records_finish(&now);
    return code;
}

static void count(struct in *in, const struct registry_outcome *o, size_t asked)
{
    in->assigned += o->assigned.n;
    in->waiting += o->waiting.n;
    in->refused += o->error != NULL ? asked : o->refused.n + o->refused_more;
    for (size_t i = 0; i < o->refused.n; i++) {
        tell_refused(in, "channel", o->refused.item[i].name, o->refused.item[i].text);
    }
    if (o->refused_more > 0) {
        (void)ctl_fail(0, "and %" PRIu64 " more are refused", o->refused_more);
    }
    if (o->error != NULL) {
        (void)ctl_fail(0, "%zu channels are refused: %s", asked, o->error);
    }
}

/* Those from `from` on that one request takes, which are of one user; *end: behind them. */
static int join_some(struct in *in, size_t from, size_t *end)
{
    const struct transfer_pair *all = in->what.channels;
    const char *user = all[from].value;
    struct registry_outcome outcome = {0};
    struct buf names;
    size_t to = from;

    buf_init(&names, (size_t)64 * 1024);
    while (to < in->what.nchannels && to - from < REGISTRY_MAX_CHANNELS &&
           strcmp(all[to].value, user) == 0) {
        buf_printf(&names, "%s%s", to > from ? "," : "", all[to].name);
        to++;
    }
    struct registry_pair fields[] = {{"channels", names.data}, {"user", user}};
    int code = ask_coordinator(in->ctl, "join", fields, user[0] != '\0' ? 2 : 1, &outcome);
    if (code == CTL_DONE) {
        count(in, &outcome, to - from);
    }
    registry_outcome_finish(&outcome);
    buf_finish(&names);
    *end = to;
    return code;
}

static void tell_result(const struct in *in)
{
    if (in->ctl->json) {
        cJSON *result = cJSON_CreateObject();
        cJSON_AddNumberToObject(result, "set", (double)in->set);
        cJSON_AddNumberToObject(result, "unchanged", (double)in->unchanged);
        cJSON_AddNumberToObject(result, "not_set", (double)in->not_set);
        cJSON_AddNumberToObject(result, "assigned", (double)in->assigned);
        cJSON_AddNumberToObject(result, "waiting", (double)in->waiting);
        cJSON_AddNumberToObject(result, "refused", (double)in->refused);
        table_json(result);
        cJSON_Delete(result);
        return;
    }
    ctl_say("settings  %" PRIu64 " set, %" PRIu64 " as they were, %" PRIu64 " refused", in->set,
            in->unchanged, in->not_set);
    ctl_say("channels  %" PRIu64 " assigned, %" PRIu64 " waiting, %" PRIu64 " refused",
            in->assigned, in->waiting, in->refused);
}

static int import(struct in *in)
{
    int code = set_all(in);

    for (size_t at = 0; at < in->what.nchannels && code == CTL_DONE;) {
        code = join_some(in, at, &at);
    }
    tell_result(in); /* also where the rest was not asked for */
    return code == CTL_DONE && in->refused + in->not_set > 0 ? CTL_FAILED : code;
}

static int run_import(struct ctl *c)
{
    struct in in = {.ctl = c, .path = c->nargs > 0 ? ctl_arg(c, 0) : ""};
    struct file file = {0};
    struct buf typed;
    char *text = NULL;

    if (c->nargs != 1) {
        return ctl_usage(c);
    }
    buf_init(&typed, INPUT_MAX_BYTES);
    int code = read_text(&in, &file, &typed, &text);
    if (code == CTL_DONE) {
        transfer_parse(&in.what, text, on_wrong, &in);
        if (in.wrong > 0) {
            code = ctl_fail(CTL_USAGE, "%zu line%s of %s %s wrong; nothing was asked for", in.wrong,
                            in.wrong == 1 ? "" : "s", in.path, in.wrong == 1 ? "is" : "are");
        } else {
            code = import(&in);
        }
    }
    transfer_finish(&in.what);
    buf_finish(&typed);
    file_finish(&file);
    return code;
}

CTL_COMMAND(import, "FILE | -", "Join the channels and set the settings that export wrote.", NULL,
            RIGHTS_REQUEST, run_import);
