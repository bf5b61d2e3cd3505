/* Connections: what those of a node share: whom they trust, which addresses were of no use, and up
 * to when all that came was read. Its memory goes when the last of them is gone. */
#include "node/connection_private.h"

#include <malloc.h>
#include <stdlib.h>
#include <utlist.h>

#define SETTLED_MS 1000 /* without one more: all that were to be opened are open */

static void on_turn(uv_prepare_t *turn)
{
    struct connections *pool = turn->data;

    pool->caught_up_ms = pool->turn_ms;
    pool->turn_ms = mono_ms();
    pool->turns++;
}

static void on_settled(uv_timer_t *settled)
{
    (void)settled;
    (void)malloc_trim(0);
}

/* Many are opened at once, and of what OpenSSL needs for a handshake and gives back, a third of the
 * memory of a connection stays with malloc, in holes between what is kept. */
void connections_opened(struct connections *pool)
{
    uv_timer_start(&pool->settled, on_settled, SETTLED_MS, 0);
}

struct connections *connections_create(uv_loop_t *loop, const char *tls_ca, uint64_t connect_ms,
                                       struct err *err)
{
    struct tls_trust *trust = tls_trust_create(tls_ca, err);

    if (trust == NULL) {
        return NULL;
    }
    struct connections *pool = xcalloc(1, sizeof(*pool));

    pool->loop = loop;
    pool->trust = trust;
    pool->connect_ms = connect_ms;
    BUG_ON(uv_prepare_init(loop, &pool->turn) != 0 || uv_prepare_start(&pool->turn, on_turn) != 0);
    BUG_ON(uv_timer_init(loop, &pool->settled) != 0);
    pool->turn.data = pool;
    return pool;
}

int connections_trust(struct connections *pool, const char *tls_ca, struct err *err)
{
    struct tls_trust *trust = tls_trust_create(tls_ca, err);

    if (trust == NULL) {
        return -ERR_USAGE;
    }
    tls_trust_destroy(pool->trust);
    pool->trust = trust;
    return 0;
}

void connections_pause(struct connections *pool, bool pause)
{
    struct connection *c;

    pool->paused = pause;
    DL_FOREACH(pool->list, c)
    {
        connection_pause(c, pause);
    }
}

static void finish(void *owner)
{
    struct connections *pool = owner;

    BUG_ON(pool->list != NULL);
    tls_trust_destroy(pool->trust);
    free(pool);
}

void connections_destroy(struct connections *pool)
{
    struct connection *c;

    teardown_begin(&pool->teardown, finish, pool, NULL, NULL);
    teardown_handle(&pool->teardown, (uv_handle_t *)&pool->turn);
    teardown_handle(&pool->teardown, (uv_handle_t *)&pool->settled);
    DL_FOREACH(pool->list, c)
    {
        (void)teardown_part(&pool->teardown);
        connection_close(c); /* it leaves the list from the loop */
    }
}
