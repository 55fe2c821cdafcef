/* exactly_once.pml -- checkpoints, fail-over and staged output, together: every record is in the topic once.
 *
 *      coordinator a    claims attempt a, chooses what to restore, deploys two workers, takes checkpoints
 *      worker a, w      a source chained with a Kafka sink: emits records, stages them, publishes what is complete
 *      the directory    attempts and their choices, metadata aside and renamed (checkpoint/attempt.h, published.h)
 *      the broker       for each slot w the topic's records, the token, who is fenced (docs/KAFKA.md)
 *
 * A crash is the start of the next attempt at any moment. Nobody is killed: the processes of an older attempt may go on
 * as zombies, each from where it is, or never make another step, which is what being dead is. So every step of every
 * process may be its last, and every step of a zombie may come at any time.
 *
 * What a worker stages is a run of positions, so a topic is how far it goes: a publish that does not begin where the
 * topic ends is a duplicate or a loss. Shown for every interleaving (I.. as in barrier.pml):
 *      I4  sources go on from the recorded position      no duplicate, no loss, in order: `out` and `from` meet
 *      I5  output of n is published if n is complete     `covered`
 *      I6  at most one completion of a checkpoint        rename_metadata
 *      I7  a zombie publishes nothing                    no commit behind a token of a higher attempt
 *      the newest attempt is never refused as AHEAD or LOST, and when no step is left it has published all
 *
 * Where a zombie would ask whether it is in charge before anybody could see what it does, it is left where it is.
 *
 * A newer attempt deletes the metadata that older ones have aside, so that they have nothing to rename. Here it does
 * not, and zombies rename late. What the line of succession is for takes three crashes, more than the bounds here.
 *
 * Not in it: losses of power, delayed requests and stale reads (the simulator and test_sink_alone.py have them);
 * several chunks a segment; other parallelisms. With a flag of those below a rule is broken, and the checker must say
 * so (test_model.py). */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef EPOCHS
#define EPOCHS 3 /* checkpoints of an attempt; the last one when the input has ended */
#endif
#ifndef RECORDS
#define RECORDS 2 /* of each source */
#endif
#ifndef ABORTS
#define ABORTS 1 /* checkpoints that are given up, at most */
#endif
#define ATTEMPTS (CRASHES + 1)
#define NUMBERS  (ATTEMPTS * EPOCHS) /* checkpoints, from 1; each attempt has set its own aside */
#define ALL      (BIT(WORKERS) - 1)  /* a bit for each worker */
#define BIT(number_) (1 << (number_))
#define NUMBER(attempt_, epoch_) (((attempt_) - 1) * EPOCHS + (epoch_))
#define OWNER(number_) (((number_) - 1) / EPOCHS + 1)
#define UP_TO(number_) (BIT((number_) + 1) - 1) /* a set: all of them */
#define NEVER 255

/* -- the directory -------------------------------------------------------------------------------- */

byte claimed;               /* the highest attempt */
byte chosen;                /* the highest attempt that has written its choice */
byte restored[ATTEMPTS + 1];
short complete;             /* metadata that was renamed: a bit for each checkpoint */
typedef part {              /* what checkpoint n has of worker w; and segment n of slot w, which begins at `from` */
    byte position, last, from, previous;
    short held
};
typedef checkpoint {
    part by[WORKERS]
};
checkpoint chk[NUMBERS + 1];

/* -- the broker ----------------------------------------------------------------------------------- */

byte out[WORKERS];                             /* how far the topic goes */
byte token_attempt[WORKERS], token_segment[WORKERS]; /* 0: there is no token */
byte token_end[WORKERS];                       /* where the next token lands in its partition */
byte producer[WORKERS];                        /* the attempt that has called init_transactions last */

/* -- between coordinator and workers of an attempt -------------------------------------------------- */

byte triggered[ATTEMPTS + 1], notified[ATTEMPTS + 1], given_up[ATTEMPTS + 1]; /* epochs */
byte acks[ATTEMPTS + 1], finished[ATTEMPTS + 1];                           /* bits of workers */
byte aborts;
short covered[WORKERS]; /* segments of complete checkpoints: what may be published */
byte is_done; /* the newest attempt that has come to its end */

#ifdef NO_FENCING
#define IS_PRODUCER(slot_, attempt_) true
#else
#define IS_PRODUCER(slot_, attempt_) (producer[slot_] == (attempt_))
#endif
#ifdef NO_OFFSET_CHECK
#define LANDS_AT(slot_, offset_) true
#else
#define LANDS_AT(slot_, offset_) (token_end[slot_] == (offset_))
#endif
#ifdef NO_ATTEMPT_CHECK
#define CHECK_ATTEMPT(attempt_) true
#else
#define CHECK_ATTEMPT(attempt_) (claimed == (attempt_))
#endif

/* -- workers -------------------------------------------------------------------------------------- */

/* The lowest number of a set that is not empty. */
inline lowest(set_, number_)
{
    number_ = 1;
    do
    :: (set_ & BIT(number_)) == 0 -> number_++
    :: else -> break
    od
}

/* chain_snapshot: what was staged since the last one becomes a segment (slot_hold), unless it is empty. How much that
 * is nobody sees before, so the source emits it here; the last checkpoint is behind the end of the input. */
inline take_snapshot()
{
    epoch = triggered[a];
    if
    :: epoch == EPOCHS -> position = RECORDS
    :: epoch < EPOCHS && position < RECORDS -> position = RECORDS
    :: epoch < EPOCHS && position + 1 < RECORDS -> position++
    :: epoch < EPOCHS
    fi;
    d_step {
        number = NUMBER(a, epoch);
        if
        :: position > from ->
            chk[number].by[w].from = from;
            chk[number].by[w].previous = last;
            held = held | BIT(number);
            last = number;
            from = position
        :: else
        fi;
        chk[number].by[w].position = position;
        chk[number].by[w].held = held;
        chk[number].by[w].last = last;
#ifdef PUBLISH_BEFORE_COMPLETE
        known = number;
#endif
        number = 0
    }
}

/* kafka_sink.c, prepare: the segments of complete checkpoints, and what the token must say at least. */
inline prepare()
{
    job = held & UP_TO(known);
    if
    :: held != 0 -> lowest(held, next); expected = chk[next].by[w].previous
    :: else -> expected = last
    fi;
    next = 0
}

/* A commit: the broker takes it from the last producer only, and the token has to land where the partition ended when
 * it was read: a zombie that opens a handle behind a newer attempt is the last producer. What it publishes is not published yet, comes next,
 * is of a complete checkpoint, and no newer attempt has claimed the token. */
inline check_commit(segment_)
{
    assert(token_attempt[w] <= a);                  /* I7 */
    assert((covered[w] & BIT(segment_)) != 0);      /* I5 */
    assert(out[w] == chk[segment_].by[w].from)      /* I4: neither again nor too far */
}

/* token_judge, and what judge does about it: `next` is where to go on, NEVER: this attempt has to stop. */
inline judge()
{
    d_step {
        if
        :: token_attempt[w] > a -> next = NEVER /* FENCED */
#ifdef TOKEN_NOT_JUDGED
        :: token_attempt[w] <= a -> next = 1
#else
        :: token_attempt[w] <= a && (job & BIT(token_segment[w])) != 0 && token_segment[w] != 0 ->
            next = token_segment[w] + 1
        :: token_attempt[w] <= a && ((job & BIT(token_segment[w])) == 0 || token_segment[w] == 0) ->
            if
            :: token_segment[w] == expected -> next = 1
            :: else -> /* AHEAD or LOST */
                assert(claimed != a);
                next = NEVER
            fi
#endif
        fi
    }
}

/* One call of kafka_publish, from the check of the attempt on; ends at `published` or stops the worker. The task goes
 * on meanwhile, so each step is an alternative of the worker's loop; `step` says which is the next. */
#define IDLE   0
#define ASK    1 /* weir_check_attempt */
#define READ   2 /* init_transactions, which fences the producer before: nobody commits until the token is read */
#define CLAIM  3 /* the token again, under this attempt */
#define HANDLE 4 /* init_transactions: a producer a chunk */
#define LAND   5 /* records and token are delivered, not visible yet; is the token where it has to be? */
#define COMMIT 6
#define TOKEN  7 /* only if they are not one transaction */

inline kafka_publish()
{
    if
    :: step == ASK ->
        if
        :: CHECK_ATTEMPT(a) -> step = READ
        :: else -> goto stopped
        fi
    :: step == HANDLE -> producer[w] = a; step = LAND
    :: step == LAND ->
        if
        :: IS_PRODUCER(w, a) && LANDS_AT(w, end_offset) ->
            token_end[w]++;
            end_offset++;
            step = COMMIT
        :: else -> step = ASK
        fi
    :: step == READ ->
        producer[w] = a;
        end_offset = token_end[w];
        judge();
        if
        :: next == NEVER -> goto stopped
        :: next != NEVER && token_segment[w] != 0 && token_attempt[w] != a -> step = CLAIM
        :: else -> step = HANDLE
        fi
    :: step == CLAIM ->
        if
        :: IS_PRODUCER(w, a) && LANDS_AT(w, end_offset) ->
            assert(token_attempt[w] <= a);
            token_attempt[w] = a;
            token_end[w]++;
            end_offset++;
            step = HANDLE
        :: else -> step = ASK
        fi
    :: step == COMMIT ->
        if
        :: IS_PRODUCER(w, a) ->
            d_step {
                check_commit(next);
                out[w] = chk[next].by[w].position
            };
#ifdef TOKEN_OUTSIDE_TRANSACTION
            step = TOKEN
        :: else -> step = ASK
        fi
    :: step == TOKEN ->
        if
        :: true ->
#endif
            token_attempt[w] = a;
            token_segment[w] = next;
            next++;
            step = HANDLE
        :: else -> step = ASK
        fi
    fi;
    /* the next segment that is not published; none: publish_done, all but the newest are dropped */
    if
    :: step == HANDLE -> d_step {
            do
            :: next <= NUMBERS && (job & BIT(next)) == 0 -> next++
            :: else -> break
            od;
            if
            :: next > NUMBERS ->
                do
                :: job != 0 ->
                    lowest(job, next);
                    job = job & ~BIT(next);
                    if
                    :: job != 0 -> held = held & ~BIT(next)
                    :: else -> newest = next
                    fi
                :: else -> break
                od;
                step = IDLE;
                is_open = true;
                next = 0;
                expected = 0;
                end_offset = 0
            :: else
            fi
        }
    :: else
    fi
}
#define UNPUBLISHED    (held & UP_TO(known) & ~UP_TO(newest)) /* slot_unpublished_count */

proctype worker(byte a, w)
{
    byte position, from, last, known, newest, next, expected, end_offset, step = ASK, epoch, number;
    short held, job;
    bool is_open;

    d_step { /* chain_open: the part of the checkpoint; then recover, before anything new is staged */
        if
        :: restored[a] != 0 ->
            position = chk[restored[a]].by[w].position;
            held = chk[restored[a]].by[w].held;
            last = chk[restored[a]].by[w].last
        :: else
        fi;
        from = position;
        known = last
    }
    atomic { prepare() };
    do
    :: atomic { step != IDLE -> kafka_publish() }
#ifdef ACK_BEFORE_SNAPSHOT
    :: atomic { CHECK_ATTEMPT(a) && is_open && triggered[a] > epoch && (acks[a] & BIT(w)) == 0 -> acks[a] = acks[a] | BIT(w) }
    :: atomic { CHECK_ATTEMPT(a) && is_open && triggered[a] > epoch && (acks[a] & BIT(w)) != 0 && step == IDLE -> take_snapshot() }
#else
    :: atomic { CHECK_ATTEMPT(a) && is_open && triggered[a] > epoch ->
            take_snapshot();
            if
            :: given_up[a] < epoch -> acks[a] = acks[a] | BIT(w)
            :: else /* coordinator_acked: of another checkpoint than the current one */
            fi }
#endif
#ifdef ABORT_DROPS_OUTPUT
    :: atomic { given_up[a] != 0 && (held & BIT(NUMBER(a, given_up[a]))) != 0 && step == IDLE ->
            held = held & ~BIT(NUMBER(a, given_up[a])) }
#endif
    :: atomic { CHECK_ATTEMPT(a) && step == IDLE && notified[a] != 0 && NUMBER(a, notified[a]) > known -> /* chain_checkpoint_complete */
            known = NUMBER(a, notified[a]);
            if
            :: UNPUBLISHED != 0 -> prepare(); step = ASK /* publish_next */
            :: else
            fi }
#ifdef PUBLISH_BEFORE_COMPLETE
    :: atomic { step == IDLE && is_open && UNPUBLISHED != 0 -> prepare(); step = ASK }
#endif
    :: atomic { CHECK_ATTEMPT(a) && step == IDLE && notified[a] == EPOCHS && known == NUMBER(a, EPOCHS) ->
            finished[a] = finished[a] | BIT(w); /* chain_unpublished: nothing is left */
            break }
    od;
stopped:
    skip;
    d_step { /* what a process that has ended remembers would only multiply the states */
        position = 0;
        from = 0;
        last = 0;
        known = 0;
        newest = 0;
        next = 0;
        expected = 0;
        end_offset = 0;
        step = IDLE;
        epoch = 0;
        held = 0;
        job = 0;
        is_open = false
    }
}

/* -- coordinators --------------------------------------------------------------------------------- */

/* attempts_accept: whether a checkpoint is on the line of succession. */
inline attempts_accept(number_)
{
    line = chosen;
    limit = NEVER;
    is_accepted = false;
    do
    :: line == 0 || OWNER(number_) > line ->
        is_accepted = (line == chosen); /* above the line nothing has been void yet */
        break
    :: line != 0 && OWNER(number_) == line -> is_accepted = (number_ <= limit); break
    :: line != 0 && OWNER(number_) < line ->
        limit = (restored[line] < limit -> restored[line] : limit);
        line = (restored[line] == 0 -> 0 : OWNER(restored[line]));
        if
        :: line == 0 -> break
        :: else
        fi
    od
}

inline storage_restore()
{
    d_step {
        candidate = NUMBERS;
        do
        :: candidate == 0 -> break
        :: candidate != 0 && (complete & BIT(candidate)) != 0 ->
            attempts_accept(candidate);
            if
            :: is_accepted -> break
            :: else -> candidate--
            fi
        :: candidate != 0 && (complete & BIT(candidate)) == 0 -> candidate--
        od;
        line = 0;
        limit = 0;
        is_accepted = false
    }
}

#define COVER(w_) covered[w_] = covered[w_] | chk[number].by[w_].held

inline rename_metadata()
{
    d_step {
        assert((complete & BIT(number)) == 0); /* I6 */
        complete = complete | BIT(number);
        COVER(0);
        COVER(WORKERS - 1)
    }
}

proctype coordinator(byte a)
{
    byte epoch, number, candidate, line, limit;
    bool is_accepted;

    claimed == a - 1;
    claimed = a; /* attempt_claim: a crash, for those before */
    storage_restore();
    atomic { /* attempt_write: the choice; workers, if this is still the newest */
        restored[a] = candidate;
        candidate = 0;
        chosen = (a > chosen -> a : chosen);
        if
        :: CHECK_ATTEMPT(a) ->
            run worker(a, 0);
            if
            :: WORKERS > 1 -> run worker(a, WORKERS - 1)
            :: else
            fi
        :: else -> goto stopped
        fi
    }
    do
    :: atomic { /* coordinator_tick */
            epoch < EPOCHS && CHECK_ATTEMPT(a) ->
            epoch++;
            number = NUMBER(a, epoch);
            acks[a] = 0;
            triggered[a] = epoch
        }
        if
        :: atomic { /* storage_publish: written aside, synced, still the newest? */
                acks[a] == ALL && CHECK_ATTEMPT(a) ->
#ifdef NOTIFY_BEFORE_RENAME
                notified[a] = epoch
#endif
            }
            atomic { rename_metadata(); notified[a] = epoch } /* COORDINATOR_NOTIFY */
        :: atomic { epoch < EPOCHS && CHECK_ATTEMPT(a) && aborts < ABORTS -> aborts++; given_up[a] = epoch } /* COORDINATOR_ABORT */
        fi
    :: epoch == EPOCHS -> break
    od;
    atomic {
        finished[a] == ALL ->
        assert(out[0] == RECORDS && out[WORKERS - 1] == RECORDS);
        is_done = (a > is_done -> a : is_done)
    }
stopped:
    skip;
    d_step {
        epoch = 0;
        number = 0
    }
}

init
{
    byte a = 1;
    atomic {
        do
        :: a <= ATTEMPTS -> run coordinator(a); a++
        :: else -> break
        od
    }
    timeout -> /* no step is left: the newest attempt has done its work, whatever the others did */
    assert(is_done == ATTEMPTS);
    assert(out[0] == RECORDS && out[WORKERS - 1] == RECORDS)
}
