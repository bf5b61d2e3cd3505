/* Account show. */
#include "coordinator/ctl/account_show.h"

#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/table.h"

#include <string.h>
#include <time.h>

#define LOOK_MS 250 /* between two looks whether it is gone */

static void say_time(const char *name, uint64_t ms, struct wall now)
{
    time_t at = (time_t)(ms / 1000);
    struct tm parts;
    char text[40] = "";
    char age[24];

    if (gmtime_r(&at, &parts) != NULL) {
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
    }
    table_age(ms > now.ms ? ms - now.ms : now.ms - ms, age, sizeof(age));
    ctl_say("%-14s %s (%s%s%s)", name, text, ms > now.ms ? "in " : "", age,
            ms > now.ms ? "" : " ago");
}

static void say_fields(const cJSON *record, struct wall now)
{
    const cJSON *field;

    cJSON_ArrayForEach(field, record)
    {
        const struct figure *f = figure_find(figures_of_account, slice_of(field->string));
        uint64_t number = records_number(record, field->string);
        if (f != NULL && f->type == FIGURE_TIME) {
            if (number > 0) {
                say_time(field->string, number, now);
            }
        } else if (cJSON_IsNumber(field)) {
            ctl_say("%-14s %.0f", field->string, field->valuedouble);
        } else if (cJSON_GetStringValue(field) != NULL && field->valuestring[0] != '\0') {
            ctl_say("%-14s %s", field->string, field->valuestring);
        }
    }
}

int account_show(struct ctl *c, const char *login)
{
    struct records r;
    int code = ctl_records(c, RECORDS_ACCOUNTS, &r);
    const cJSON *record = records_find(r.accounts, "account", login);

    if (code == CTL_DONE && record == NULL) {
        code = ctl_fail(CTL_FAILED, "There is no account %s.", login);
    } else if (code == CTL_DONE && c->json) {
        table_json(record);
    } else if (code == CTL_DONE) {
        say_fields(record, r.state->now);
    }
    records_finish(&r);
    return code;
}

/* It may have been put there anew meanwhile. */
static int look(struct ctl *c, const char *login, bool *gone)
{
    struct records r;
    int code = ctl_records(c, RECORDS_ACCOUNTS, &r);
    const cJSON *record = records_find(r.accounts, "account", login);
    const char *error = records_text(record, "error");

    *gone = code == CTL_DONE &&
            (record == NULL || strcmp(records_text(record, "state"), "revoking") != 0);
    if (code == CTL_DONE && !*gone && error[0] != '\0') {
        code = ctl_fail(CTL_FAILED,
                        "the tokens of %s are not ended yet: %s (nobody logs in as it, and it is "
                        "tried again; shoalctl account remove forgets it as it is)",
                        login, error);
    }
    records_finish(&r);
    return code;
}

int account_await_revoked(struct ctl *c, const char *login)
{
    bool gone = false;
    int code = look(c, login, &gone);

    while (code == CTL_DONE && !gone) {
        uint64_t next_ms = mono_ms() + LOOK_MS;
        while (mono_ms() < next_ms && !ctl_is_over(c)) {
            ctl_turn_for(c, next_ms - mono_ms());
        }
        code = ctl_is_over(c) ? ctl_over(c, "the end of its tokens") : look(c, login, &gone);
    }
    if (code == CTL_DONE && !c->json) {
        ctl_say("Twitch has ended the tokens of %s, and it is no account any more.", login);
    }
    return code;
}
