/* shoalctl doctor: what of this Redis is right, what is not, and the mend. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/table.h"

static const char *const verdicts[] = {
    [LOOK_RIGHT] = "ok", [LOOK_WRONG] = "WRONG", [LOOK_UNKNOWN] = "unknown"};

static void on_done(void *ctx, const struct look *l)
{
    static const struct err down = {.code = ERR_DOWN};

    ctl_answered(ctx, l->failed ? &down : NULL);
}

int doctor_look(struct ctl *c, struct look *l)
{
    int code = CTL_DONE;

    *l = (struct look){0};
    while (ctl_asks(c, &code)) {
        ctl_asked(c, look_begin(l, c->registry, c->url.db, on_done, c));
    }
    return code;
}

static void show(struct ctl *c, const struct look_finding *f)
{
    if (c->json) {
        cJSON *record = cJSON_CreateObject();
        cJSON_AddStringToObject(record, "what", f->what);
        cJSON_AddStringToObject(record, "verdict",
                                f->verdict == LOOK_WRONG ? "wrong" : verdicts[f->verdict]);
        cJSON_AddStringToObject(record, "found", f->text);
        cJSON_AddStringToObject(record, "mend", f->mend);
        table_json(record);
        cJSON_Delete(record);
    } else {
        ctl_say("%-8s  %-12s  %s%s%s", verdicts[f->verdict], f->what, f->text,
                f->mend[0] ? "; mend: " : "", f->mend);
    }
}

static int run_doctor(struct ctl *c)
{
    struct look l;
    size_t wrong = 0;
    int code = doctor_look(c, &l);

    if (code != CTL_DONE) {
        return code;
    }
    for (size_t i = 0; i < l.n; i++) {
        show(c, &l.finding[i]);
        wrong += l.finding[i].verdict == LOOK_WRONG;
    }
    return wrong > 0 ? CTL_FAILED : CTL_DONE;
}

CTL_COMMAND(doctor, "", "What of this Redis is right, what is not, and the mend.", NULL, 0,
            run_doctor);
