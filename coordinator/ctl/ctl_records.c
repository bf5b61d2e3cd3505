/* Ctl, records: a question like others, that goes on where a link failed. */
#include "coordinator/ctl/ctl_records.h"

int ctl_records(struct ctl *c, unsigned what, struct records *r)
{
    int code = CTL_DONE;

    records_init(r, &(struct records_options){.registry = c->registry,
                                              .read_only = true,
                                              .what = what,
                                              .on_done = ctl_answered,
                                              .ctx = c});
    while (ctl_asks(c, &code)) {
        records_resume(r);
        ctl_asked(c, 0);
    }
    return code;
}

struct channels {
    struct ctl *ctl;
    void (*each)(void *ctx, const struct figures_channel *channel,
                 const struct registry_hash *hash);
    void *ctx;
};

static void on_channel(void *ctx, const struct figures_channel *channel,
                       const struct registry_hash *hash)
{
    struct channels *all = ctx;

    all->each(all->ctx, channel, hash);
}

static void on_done(void *ctx, const struct err *err)
{
    ctl_answered(((struct channels *)ctx)->ctl, err);
}

int ctl_each_channel(struct ctl *c,
                     void (*each)(void *ctx, const struct figures_channel *channel,
                                  const struct registry_hash *hash),
                     void *ctx)
{
    struct channels all = {c, each, ctx};
    struct cluster_reader *reader =
        cluster_reader_create(&(struct cluster_reader_options){.registry = c->registry,
                                                               .read_only = true,
                                                               .on_channel = on_channel,
                                                               .on_done = on_done,
                                                               .ctx = &all});
    int code = CTL_DONE;

    while (ctl_asks(c, &code)) {
        cluster_reader_resume(reader);
        ctl_asked(c, 0);
    }
    cluster_reader_destroy(reader);
    return code;
}
