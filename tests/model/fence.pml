/* Fence: nothing of a node is fanned out any more once its shard was taken from it (design: Fan-out, Link, Fence,
 * Lease, Expiry; promises 1 and 8), for every interleaving of
 *
 *   two nodes, which write lines into a link to Redis, renew their lease on it, and connect anew; one shard;
 *   two coordinators, one of which leads, any time the other; Redis, which executes what is in the sockets of its
 *   clients at any time, and is restarted once.
 *
 * There is no clock: a lease may run out at any moment, and whoever does not move stands still, for as long as you
 * like, with full sockets. So nothing here rests on timers. What carries it is that whoever takes a shard first kills
 * the registered link of the node that had it, that expire refuses where the link is another by now or the lease
 * was renewed, that a node kills its former link before it renews on a new one, and that of two links of a node the
 * later one is the registered one, in whatever order their renewals are executed.
 *
 *   spin -a fence.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m2000000
 *
 * Unresolved: all of it takes many minutes and gigabytes, so it is run by hand, and not to its end yet.
 *
 * Broken on purpose, and found in seconds: -DNO_KILL (a coordinator expires without killing the link),
 * -DNO_LINK_CHECK (expire does not compare the link), -DNO_OWN_KILL (a node leaves its former link alive), -DFORGETFUL
 * (it takes for the former link the last it had, though chat last flowed on an earlier one). -DNO_ORDER (a renewal on
 * a link that was given up makes it the registered one again) was found by a model that began without any node; this
 * one has not reached it within a minute. */

#define LINES  3 /* in all */
#define LINKS  4 /* connections to Redis: 1 to 3 of node 0, one after the other, 4 of node 1; 0 is none */
#define LAPSES 2 /* leases that run out */
#define NODE_OF(link) (link / 4)
#define NOBODY 2

mtype = { KILL, RENEW, REGISTER, PUBLISH };

/* Redis: sockets, and the registry. */
chan socket[LINKS + 1] = [4] of { mtype, byte }; /* written, not executed yet */
chan answer[LINKS + 1] = [1] of { bool, bool };  /* current?, holds the shard? */
bool alive[LINKS + 1];
byte owner;             /* the node that holds the shard, or NOBODY; node 0 at first */
bool member[2];         /* its incarnation is registered */
bool leased[2];
byte registered[2];     /* the link it renewed on last */
bool grace;             /* Redis was away: nothing expires */
bool restarted;
byte leader;
byte said;              /* lines that were written */

/* A link that was given up, whose renewal is executed after that of a later one. */
#ifdef NO_ORDER
#define OVERTAKEN(link) false
#else
#define OVERTAKEN(link) (registered[me] > link)
#endif

/* One command of a client, whose turn it is whenever Redis likes. */
#define EXECUTE(link)                                                                              \
    atomic {                                                                                       \
        alive[link] && nempty(socket[link]) -> socket[link]?what, arg;                             \
        me = NODE_OF(link);                                                                        \
        if                                                                                         \
        :: what == KILL -> alive[arg] = false                                                      \
        :: what == PUBLISH -> assert(owner == me) /* the promise */                                \
        :: (what == RENEW || what == REGISTER) && OVERTAKEN(link) -> skip                          \
        :: what == RENEW && !OVERTAKEN(link) && !member[me] -> answer[link]!false, false           \
        :: what == RENEW && !OVERTAKEN(link) && member[me] ->                                      \
            leased[me] = true;                                                                     \
            registered[me] = link;                                                                 \
            answer[link]!true, (owner == me)                                                       \
        :: what == REGISTER && !OVERTAKEN(link) ->                                                 \
            member[me] = true;                                                                     \
            leased[me] = true;                                                                     \
            registered[me] = link;                                                                 \
            owner = (owner == NOBODY -> me : owner);                                               \
            answer[link]!true, (owner == me)                                                       \
        fi;                                                                                        \
        what = 0;                                                                                  \
        arg = 0;                                                                                   \
        me = 0                                                                                     \
    }

proctype redis()
{
    mtype what;
    byte arg;
    byte me;

    do
    :: EXECUTE(1)
    :: EXECUTE(2)
    :: EXECUTE(3)
    :: EXECUTE(4)
    :: atomic { /* kill -9, and back with what it had written to disk */
            !restarted ->
            restarted = true;
            grace = true;
            alive[1] = false;
            alive[2] = false;
            alive[3] = false;
            alive[4] = false
        }
    od
}

/* What time does. */
proctype time()
{
    byte lapses;
    bool changed;

    do
    :: atomic { leased[0] && lapses < LAPSES -> leased[0] = false; lapses++ }
    :: atomic { leased[1] && lapses < LAPSES -> leased[1] = false; lapses++ }
    :: grace -> grace = false
    :: atomic { !changed -> leader = 1; changed = true } /* the lease of the lead */
    od
}

#ifdef NO_OWN_KILL
#define KILLS_FORMER false
#else
#define KILLS_FORMER true
#endif
#ifdef FORGETFUL
#define FORGETFUL_NODE true
#else
#define FORGETFUL_NODE false
#endif

proctype node(byte me; byte link; byte last)
{
    byte former;
    byte next = link + 1;
    bool asked;           /* a renewal is under way */
    bool attached = true; /* the link was answered as current: chat flows */
    bool known = true;    /* this incarnation was registered */
    bool holds = (me == 0);
    bool current;
    bool mine;

    do
    :: atomic { link == 0 && next <= last -> /* connects: first its former link, then its lease */
            link = next;
            next++;
            alive[link] = true;
            if
            :: former != 0 && KILLS_FORMER -> socket[link]!KILL, former
            :: else
            fi;
            socket[link]!(known -> RENEW : REGISTER), 0;
            asked = true
        }
    :: atomic { attached && holds && said < LINES && nfull(socket[link]) -> /* what it knows may be old by now */
            said++;
            socket[link]!PUBLISH, 0
        }
    :: atomic { attached && !asked && nfull(socket[link]) ->
            socket[link]!RENEW, 0;
            asked = true
        }
    :: atomic { link != 0 && nempty(answer[link]) ->
            answer[link]?current, mine;
            asked = false;
            attached = current;
            known = current;
            holds = (current -> mine : false); /* not current: lost, it drops what it held, and registers anew */
            if
            :: current
            :: else -> socket[link]!REGISTER, 0; asked = true
            fi;
            current = false;
            mine = false
        }
    :: atomic { link != 0 -> /* it breaks, or seems to: what is in the socket may still be executed */
            former = (attached || FORGETFUL_NODE -> link : former); /* the last on which chat flowed */
            link = 0;
            asked = false;
            attached = false
        }
    od
}

#ifdef NO_LINK_CHECK
#define SAME_LINK true
#else
#define SAME_LINK (registered[dead] == link)
#endif

proctype coordinator(byte me)
{
    byte dead;
    byte link;

    do
    :: atomic {
            if
            :: leader == me && !grace && member[0] && !leased[0] -> dead = 0
            :: leader == me && !grace && member[1] && !leased[1] -> dead = 1
            fi;
            link = registered[dead]
        };
#ifndef NO_KILL
        alive[link] = false; /* another one may lead by now, and the node may be back */
#endif
        atomic { /* expire(dead, link) */
            if
            :: leader == me && !grace && member[dead] && !leased[dead] && SAME_LINK ->
                member[dead] = false;
                if
                :: owner == dead && member[1 - dead] -> owner = 1 - dead
                :: owner == dead && !member[1 - dead] -> owner = NOBODY
                :: else
                fi
            :: else
            fi;
            dead = 0;
            link = 0
        }
    od
}

init {
    atomic { /* both nodes are there */
        alive[1] = true;
        alive[4] = true;
        member[0] = true;
        member[1] = true;
        leased[0] = true;
        leased[1] = true;
        registered[0] = 1;
        registered[1] = 4;
        run redis();
        run time();
        run node(0, 1, 3);
        run node(1, 4, 4);
        run coordinator(0);
        run coordinator(1)
    }
}
