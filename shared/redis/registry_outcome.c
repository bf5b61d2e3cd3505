/* Registry outcome: cJSON in, lists out. */
#include "shared/redis/registry_outcome.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

static const char *text_of(const struct registry_outcome *o, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o->tree, name));
}

/* A map of texts, or with `names` a list of them. An empty one may be either: Lua knows no
 * difference. */
static struct registry_list list_of(struct registry_outcome *o, const char *name, bool names)
{
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(o->tree, name);
    struct registry_told *items = xcalloc((size_t)cJSON_GetArraySize(all) + 1, sizeof(*items));
    const cJSON *each;
    size_t n = 0;

    o->valid = o->valid && (all == NULL || cJSON_IsObject(all) || cJSON_IsArray(all));
    cJSON_ArrayForEach(each, all)
    {
        const char *text = cJSON_GetStringValue(each);
        const char *key = names ? text : each->string;
        o->valid = o->valid && text != NULL && (names ? cJSON_IsArray(all) : cJSON_IsObject(all));
        if (key != NULL) {
            items[n++] = (struct registry_told){key, names || text == NULL ? "" : text};
        }
    }
    return (struct registry_list){n, items};
}

void registry_outcome_read(struct slice json, struct registry_outcome *out)
{
    cJSON *tree = json.len > 0 ? cJSON_ParseWithLength(json.ptr, json.len) : NULL;
    const cJSON *ok = cJSON_GetObjectItemCaseSensitive(tree, "ok");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(tree, "error");
    const cJSON *more = cJSON_GetObjectItemCaseSensitive(tree, "refused_more");

    *out = (struct registry_outcome){.json = json, .tree = tree, .ok = cJSON_IsTrue(ok)};
    out->valid = cJSON_IsObject(tree) && cJSON_IsBool(ok) && (!error || cJSON_IsString(error));
    out->error = text_of(out, "error");
    out->manager = text_of(out, "manager");
    out->names_channels = cJSON_GetObjectItemCaseSensitive(tree, "assigned") != NULL;
    out->assigned = list_of(out, "assigned", false);
    out->waiting = list_of(out, "waiting", false);
    out->refused = list_of(out, "refused", false);
    out->parted = list_of(out, "parted", true);
    out->retried = list_of(out, "retried", true);
    out->different = list_of(out, "different", false);
    if (cJSON_IsNumber(more) && more->valuedouble > 0 && more->valuedouble < 1e9) {
        out->refused_more = (uint64_t)more->valuedouble;
    }
}

void registry_outcome_finish(struct registry_outcome *o)
{
    const struct registry_list *const lists[] = {&o->assigned, &o->waiting, &o->refused,
                                                 &o->parted,   &o->retried, &o->different};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        free((void *)lists[i]->item);
    }
    cJSON_Delete(o->tree);
    *o = (struct registry_outcome){0};
}
