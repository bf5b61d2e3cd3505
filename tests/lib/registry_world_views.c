/* Registry world, views: what a node believes, and what the registry has for it. */
#include "tests/lib/registry_world_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

int world_by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct world_view *view_of(struct world_node *n, bool serves, struct slice id)
{
    for (size_t i = 0; i < n->nviews; i++) {
        if (n->views[i].serves == serves && slice_is(id, n->views[i].id)) {
            return &n->views[i];
        }
    }
    assert_true(n->nviews < ARRAY_LEN(n->views));
    struct world_view *v = &n->views[n->nviews++];
    memset(v, 0, sizeof(*v));
    v->serves = serves;
    world_copy(v->id, sizeof(v->id), id);
    return v;
}

static void view_fill(struct world_view *v, const struct registry_shard *s)
{
    char *names[1000];
    size_t len = (size_t)(v->serves ? snprintf(v->text, sizeof(v->text), ">%.*s",
                                               (int)s->sender.len, s->sender.ptr)
                                    : snprintf(v->text, sizeof(v->text), ":%llu",
                                               (unsigned long long)s->epoch));
    for (size_t i = 0; i < s->nchannels; i++) {
        names[i] = xstrndup(s->channels[i].ptr, s->channels[i].len);
    }
    qsort(names, s->nchannels, sizeof(names[0]), world_by_text);
    for (size_t i = 0; i < s->nchannels; i++) {
        len += (size_t)snprintf(v->text + len, sizeof(v->text) - len, ",%s", names[i]);
        assert_true(len < sizeof(v->text));
        free(names[i]);
    }
}

void world_view_update(struct world_node *n, const struct registry_picture *p)
{
    n->seen = (int64_t)p->rev;
    if (!p->changed) {
        return;
    }
    for (size_t i = 0; i < n->nviews; i++) {
        n->views[i].kept = false;
    }
    for (size_t i = 0; i < p->nheld; i++) {
        view_of(n, false, p->held[i])->kept = true;
    }
    for (size_t i = 0; i < p->nserved; i++) {
        view_of(n, true, p->served[i])->kept = true;
    }
    for (size_t i = 0; i < p->nheld_changed; i++) {
        view_fill(view_of(n, false, p->held_changed[i].id), &p->held_changed[i]);
    }
    for (size_t i = 0; i < p->nserved_changed; i++) {
        view_fill(view_of(n, true, p->served_changed[i].id), &p->served_changed[i]);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n->nviews; i++) {
        if (n->views[i].kept) {
            n->views[kept++] = n->views[i];
        }
    }
    n->nviews = kept;
}

const char *world_node_view(struct world_node *n, char *out, size_t size)
{
    char *lines[ARRAY_LEN(n->views)];
    size_t len = 0;
    for (size_t i = 0; i < n->nviews; i++) {
        lines[i] = xasprintf("%s%s\n", n->views[i].id, n->views[i].text);
    }
    qsort(lines, n->nviews, sizeof(lines[0]), world_by_text);
    out[0] = '\0';
    for (size_t i = 0; i < n->nviews; i++) {
        len += (size_t)snprintf(out + len, size - len, "%s", lines[i]);
        assert_true(len < size);
        free(lines[i]);
    }
    return out;
}

const char *world_raw_view(struct world *w, const struct world_node *n)
{
    return world_eval(
        w,
        "local lines = {} "
        "local function told(shard, head) "
        "  local names = redis.call('SMEMBERS', KEYS[1] .. ':shard:' .. shard .. ':channels') "
        "  table.sort(names) table.insert(names, 1, shard .. head) "
        "  lines[#lines + 1] = table.concat(names, ',') .. '\\n' end "
        "for _, shard in ipairs(redis.call('ZRANGE', KEYS[1] .. ':load', 0, -1)) do "
        "  local s = redis.call('HMGET', KEYS[1] .. ':shard:' .. shard, 'node', 'epoch', 'sender') "
        "  if s[1] == ARGV[1] then told(shard, ':' .. s[2]) end "
        "  if redis.call('HGET', KEYS[1] .. ':shard:' .. s[3], 'node') == ARGV[1] then "
        "    told(shard, '>' .. s[3]) end "
        "end table.sort(lines) return table.concat(lines)",
        n->name);
}
