/* Machine: the one setter of states. See machine.h. */
#include "shared/machine.h"

#include "shared/log.h"

void machine_begin(struct machine *m, const struct machine_type *type, unsigned state)
{
    BUG_ON(state >= type->count || type->count > 32);
    *m = (struct machine){.type = type, .state = state};
}

bool machine_may(const struct machine *m, unsigned to)
{
    return to < m->type->count && (m->type->states[m->state].next & MACHINE_BIT(to)) != 0;
}

void machine_move(struct machine *m, unsigned to, const void *owner)
{
    const struct machine_type *type = m->type;

    BUG_ON(!machine_may(m, to));
    if (type->name != NULL) {
        log_debug(type->name, "machine.move", "id", type->id != NULL ? type->id(owner) : NULL,
                  "from", type->states[m->state].name, "to", type->states[to].name, NULL);
    }
    m->state = to;
    if (type->check != NULL) {
        type->check(owner);
    }
}

const char *machine_state_name(const struct machine *m)
{
    return m->type->states[m->state].name;
}
