/* Fence: nothing of a node is fanned out any more once its shard was taken from it (design: Fan-out, Link, Fence,
 * Lease, Expiry; promises 1 and 8), for every interleaving of
 *
 *   two nodes, which write lines into a link to Redis, renew their lease on it, and connect anew (node 0 twice, node 1
 *   once); one shard; two coordinators, of which one or the other leads; Redis, which executes what is in the sockets
 *   of its clients at any time, and is restarted at any time.
 *
 * There is no clock: a lease may run out, the lead change and grace end at any moment, as often as you like, and
 * whoever does not move stands still, for as long as you like, with full sockets: that is a pause. So nothing here
 * rests on timers. What carries it is that whoever takes a shard first kills the registered link of the node that had
 * it, that expire refuses where the link is another by now, that a node kills its former link before it renews on a
 * new one, and that of two links of a node the later one is the registered one, in whatever order their renewals are
 * executed. That expire also looks at the lease, the lead and grace is in here, but only spares the living.
 *
 * Bounded are the links, and the lines that are in sockets at a time. Left out is what nobody can tell from outside:
 * a node that has given up a link and not the next one yet (it stands still), and what is written to a dead link. Of
 * incarnations there is only whether the last one is registered: Redis refuses more than this model does.
 *
 * tests/model/check explores all of it, in seconds, and the variants. One of them by hand, with how it comes about:
 *
 *   spin -a -DNO_KILL fence.pml && gcc -O2 -DSAFETY -o pan pan.c && ./pan -m100000; spin -t -p -DNO_KILL fence.pml
 *
 * Broken on purpose, and caught: -DNO_KILL (a coordinator expires without killing the link), -DNO_LINK_CHECK (expire
 * does not compare the link), -DNO_OWN_KILL (a node leaves its former link alive), -DFORGETFUL (it takes for the
 * former link the last it had, though chat last flowed on an earlier one), -DNO_ORDER (a renewal on a link that was
 * given up makes it the registered one again). */

#define LINES  3 /* in sockets at a time */
#define LINKS  5 /* connections to Redis: 1 to 3 of node 0, one after the other, 4 and 5 of node 1; 0 is none */
#define NODE_OF(link) (link / 4)
#define NOBODY 2

/* What must be possible, or else the model proves little: -DREACH=TAKEN makes it an error, which must be found. */
#define TAKEN   1 /* node 1 fans out, after node 0 was expired */
#define BACK    2 /* node 0 fans out, after it was expired */
#define DROPPED 3 /* a coordinator kills a link with lines in its socket */
#define STALE   4 /* a node writes lines of a shard of which it does not know that it lost it */
#define RESTART 5 /* a node is expired after Redis was restarted */
#define RETURN  6 /* node 1 fans out, after Redis was restarted */

#ifdef REACH
#define NOTE(happened) happened = true
#define NEVER(situation, condition) assert(REACH != situation || !(condition))
bool expired;
bool restarted;
#else
#define NOTE(happened) skip
#define NEVER(situation, condition) skip
#endif

mtype = { KILL, RENEW, REGISTER, PUBLISH }; /* commands */
mtype = { YOURS, NOT_YOURS, LOST };         /* answers to a renewal, as to the shard, or that there is no lease */

/* Redis: sockets, and the registry. */
chan socket[LINKS + 1] = [LINES + 2] of { mtype, byte }; /* written, not executed yet */
bool alive[LINKS + 1];
byte owner = 0;     /* the node that holds the shard, or NOBODY */
bool member[2];     /* its incarnation is registered */
bool leased[2];
byte registered[2]; /* the link it renewed on last */
bool grace;         /* Redis was away: nothing expires */
byte leader;

/* Of the nodes. */
byte current[2];    /* the link */
mtype answer[2];    /* to what was asked on that link, not read yet */
byte lines;         /* in sockets */

/* For one step only. */
hidden mtype what;
hidden byte arg;
hidden byte who;
hidden byte before;

/* A link that was given up, whose renewal is executed after that of a later one. */
#ifdef NO_ORDER
#define OVERTAKEN(link) false
#else
#define OVERTAKEN(link) (registered[who] > link)
#endif

/* What is in the socket is executed no more. */
inline cut(link)
{
    alive[link] = false;
    do
    :: nempty(socket[link]) ->
        socket[link]?what, _;
        lines = (what == PUBLISH -> lines - 1 : lines)
    :: empty(socket[link]) -> break
    od
}

inline renew(link)
{
    if
    :: member[who] ->
        leased[who] = true;
        registered[who] = link
    :: else
    fi;
    if
    :: current[who] == link -> answer[who] = (!member[who] -> LOST : (owner == who -> YOURS : NOT_YOURS))
    :: else /* nobody listens there any more */
    fi
}

/* A link that was given up is closed when what was in its socket is executed. */
inline close_if_done(link)
{
    if
    :: empty(socket[link]) && current[NODE_OF(link)] != link -> alive[link] = false
    :: nempty(socket[link]) || current[NODE_OF(link)] == link
    fi
}

/* One command of a client, whose turn it is whenever Redis likes. */
inline execute(link)
{
    d_step {
        nempty(socket[link]) -> socket[link]?what, arg;
        who = NODE_OF(link);
        if
        :: what == KILL -> cut(arg)
        :: what == PUBLISH ->
            assert(owner == who); /* the promise */
            NEVER(TAKEN, who == 1);
            NEVER(RETURN, who == 1 && restarted);
            NEVER(BACK, who == 0 && expired);
            lines--
        :: what == RENEW && !OVERTAKEN(link) -> renew(link)
        :: what == REGISTER && !OVERTAKEN(link) ->
            member[who] = true;
            owner = (owner == NOBODY -> who : owner);
            renew(link)
        :: else
        fi;
        close_if_done(link);
        what = 0
    }
}

active proctype redis()
{
    do
    :: execute(1)
    :: execute(2)
    :: execute(3)
    :: execute(4)
    :: execute(5)
    :: d_step { /* kill -9, and back with what it had written to disk */
            current[0] != 0 -> /* not before it all begins */
            cut(1);
            cut(2);
            cut(3);
            cut(4);
            cut(5);
            grace = true;
            NOTE(restarted)
        }
    od
}

/* What time does. */
active proctype time()
{
    do
    :: d_step { leased[0] -> leased[0] = false }
    :: d_step { leased[1] -> leased[1] = false }
    :: d_step { grace -> grace = false }
    :: leader = 1 - leader
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

#define LINK current[me]

inline write(command, argument)
{
    if
    :: alive[LINK] -> socket[LINK]!command, argument
    :: else
    fi
}

proctype node(byte me; byte last)
{
    byte former = LINK;     /* the last on which chat flowed */
    bool asked;             /* a renewal is under way */
    bool known = true;      /* this incarnation was registered */
    bool attached = true;   /* the link was answered as current: chat flows */
    bool holds = (me == 0); /* as far as it knows */

    do
    :: d_step { /* the link breaks, or seems to: what is in the socket may still be executed */
            LINK < last ->
            former = (FORGETFUL_NODE -> LINK : former);
            before = LINK;
            LINK++;
            close_if_done(before);
            alive[LINK] = true;
            answer[me] = 0;
            attached = false;
            holds = false;
            if
            :: KILLS_FORMER && alive[former] -> /* if it is gone, that does nothing */ write(KILL, former)
            :: else
            fi;
            write((known -> RENEW : REGISTER), 0);
            asked = true
        }
    :: d_step { /* what it knows may be old by now */
            holds && lines < LINES ->
            NEVER(STALE, owner != me);
            lines = (alive[LINK] -> lines + 1 : lines);
            write(PUBLISH, 0);
            what = 0
        }
    :: d_step { attached && !asked ->
            write(RENEW, 0);
            asked = alive[LINK]
        }
    :: d_step { answer[me] != 0 ->
            known = (answer[me] != LOST);
            attached = known;
            holds = (answer[me] == YOURS);
            asked = false;
            former = (known -> LINK : former);
            answer[me] = 0;
            if
            :: known
            :: else -> /* it drops what it held, and registers anew */
                write(REGISTER, 0);
                asked = true
            fi;
            what = 0
        }
    od
}

#ifdef NO_LINK_CHECK
#define SAME_LINK true
#else
#define SAME_LINK (registered[who] == link)
#endif
#ifdef NO_KILL
#define KILLS_LINK false
#else
#define KILLS_LINK true
#endif

proctype coordinator(byte me)
{
    byte link;

    do
    :: atomic { /* lead tells it who is dead, and on which link that node renewed last */
            if
            :: leader == me && !grace && member[0] && !leased[0] -> link = registered[0]
            :: leader == me && !grace && member[1] && !leased[1] -> link = registered[1]
            fi
        };
        d_step { /* by now another one may lead, and the node may be back */
            before = lines;
            if
            :: KILLS_LINK -> cut(link)
            :: else
            fi;
            NEVER(DROPPED, lines < before);
            what = 0
        };
        d_step { /* expire(node, link) */
            who = NODE_OF(link);
            if
            :: leader == me && !grace && member[who] && !leased[who] && SAME_LINK ->
                member[who] = false;
                registered[who] = 0;
                owner = (owner != who -> owner : (member[1 - who] -> 1 - who : NOBODY));
                NEVER(RESTART, restarted);
                NOTE(expired)
            :: else
            fi;
            link = 0
        }
    od
}

init {
    atomic { /* both nodes are there, and have renewed */
        alive[1] = true;
        alive[4] = true;
        member[0] = true;
        member[1] = true;
        leased[0] = true;
        leased[1] = true;
        registered[0] = 1;
        registered[1] = 4;
        current[0] = 1;
        current[1] = 4;
        run node(0, 3);
        run node(1, 5);
        run coordinator(0);
        run coordinator(1)
    }
}
