/* Ctl, records: a question like others, that goes on where a link failed. */
#include "coordinator/ctl/ctl_records.h"

int ctl_records(struct ctl *c, unsigned what, struct records *r)
{
    int code = CTL_DONE;

    records_init(r, &(struct records_options){c->registry, true, what, ctl_answered, c});
    while (ctl_asks(c, &code)) {
        records_resume(r);
        ctl_asked(c, 0);
    }
    return code;
}
