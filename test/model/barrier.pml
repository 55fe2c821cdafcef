/* barrier.pml -- aligned barriers over FIFO channels make one consistent cut (checkpoint/barrier.c, coordinator.c).
 *
 *      source 0 ---.         The coordinator triggers the sources, takes the acks of all three, and may give a
 *                   > task   checkpoint up at any moment. The task hears of that late, before or behind the
 *      source 1 ---'         barriers of the next one. Tasks do not know of each other: one is enough.
 *
 * Shown for every interleaving (I1.. are the conditions of a consistent cut over FIFO channels):
 *      I1  channels are FIFO                         each record comes next after the one before it
 *      I2  no record behind barrier n is in n        a snapshot has taken from each channel
 *      I3  every record before barrier n is in n         what was sent before its barrier, no less, no more
 *      I6  a checkpoint is completed at most once, in order
 *      and nobody waits for ever: when no step is left, all checkpoints are over and all records taken
 *
 * With a flag of those below a rule of the protocol is broken, and the checker must say so (test_model.py). */

#define SOURCES 2
#ifndef CHECKPOINTS
#define CHECKPOINTS 3
#endif
#ifndef RECORDS
#define RECORDS 3 /* of each channel */
#endif
#ifndef ABORTS
#define ABORTS 2 /* checkpoints that are given up, at most */
#endif
#define ROOM 2 /* of a channel: a full one holds its source up */
#define TASK      SOURCES /* number of the task among the subtasks */
#define EVERYBODY 7       /* a bit for each subtask */

mtype = { RECORD, BARRIER };
chan edge[SOURCES] = [ROOM] of { mtype, byte }; /* its number; the checkpoint */
chan trigger[SOURCES] = [CHECKPOINTS] of { byte };
chan abort = [CHECKPOINTS] of { byte };
chan acks = [CHECKPOINTS * 3] of { byte, byte }; /* checkpoint, bit of the subtask */

byte sent[SOURCES], taken[SOURCES];
/* What the checkpoint that is pending says, by channel: positions of the sources, state of the task. What a dead
 * one says is looked at by nobody, and would only multiply the states. */
typedef cut {
    byte sent[SOURCES];
    byte taken[SOURCES]
};
cut snapshot;
byte pending; /* 0: none */
byte last_completed, aborted;
bool is_over;

inline emit()
{
    atomic {
        sent[me] < RECORDS && nfull(edge[me]) ->
        sent[me]++;
        edge[me]!RECORD(sent[me])
    }
}

inline take_snapshot()
{
    edge[me]!BARRIER(checkpoint);
#ifdef RECORD_BEHIND_BARRIER
    if
    :: emit()
    :: skip
    fi;
#endif
    atomic {
        if
        :: checkpoint == pending -> snapshot.sent[me] = sent[me]
        :: else
        fi;
        acks!checkpoint(1 << me);
        checkpoint = 0 /* locals that say nothing any more would multiply the states */
    }
}

/* Emits nothing between the barrier and its snapshot. Stands for a task in the middle, too, which sends no barrier
 * of a checkpoint that it has heard to be dead. */
proctype source(byte me)
{
    byte checkpoint;
end:
    do
    :: emit()
    :: trigger[me]?checkpoint; /* task_trigger */
        if
        :: take_snapshot()
        :: atomic { checkpoint != pending -> checkpoint = 0 }
        fi
    od
}

inline forget_alignment()
{
    arrived[0] = false;
    arrived[1] = false;
    aligning = 0
}

/* As in barrier.c; `last`: the newest that is done or dead. */
inline barrier_arrived(channel_, checkpoint_)
{
    d_step {
        is_ignored = false;
        done = 0;
        if
        :: checkpoint_ != aligning ->
            if
#ifndef LATE_BARRIER_COUNTS
            :: checkpoint_ <= last -> is_ignored = true
            :: checkpoint_ > last ->
#else
            :: true ->
#endif
#ifndef OLD_ALIGNMENT_GOES_ON
                forget_alignment(); /* an older one died */
#endif
                aligning = checkpoint_;
                last = checkpoint_ - 1
            fi
        :: else
        fi;
        if
        :: !is_ignored ->
            arrived[channel_] = true;
            if
#ifdef SNAPSHOT_AT_FIRST_BARRIER
            :: true ->
#else
            :: arrived[0] && arrived[1] ->
#endif
                done = aligning;
                if
                :: done == pending -> snapshot.taken[0] = taken[0]; snapshot.taken[1] = taken[1]
                :: else
                fi;
                last = done;
                forget_alignment()
            :: else
            fi
        :: else
        fi
    }
    if
    :: done != 0 -> acks!done(1 << TASK); done = 0
    :: else
    fi
}

inline barrier_abort(checkpoint_)
{
    d_step {
        if
#ifdef ABORT_HITS_A_NEWER_ONE
        :: aligning != 0 -> forget_alignment()
#elif !defined(ABORT_KEEPS_BLOCKED)
        :: aligning != 0 && aligning <= checkpoint_ -> forget_alignment()
#endif
        :: else
        fi;
        if
        :: checkpoint_ > last -> last = checkpoint_
        :: else
        fi
    }
}

#ifdef NO_ALIGNMENT
#define IS_OPEN(channel_) true
#else
#define IS_OPEN(channel_) (!arrived[channel_])
#endif

inline take(channel_)
{
    edge[channel_]?kind(number) ->
    if
    :: kind == RECORD ->
        assert(number == taken[channel_] + 1); /* I1 */
        taken[channel_]++
    :: kind == BARRIER -> barrier_arrived(channel_, number)
    fi;
    number = 0;
    kind = RECORD
}

proctype task()
{
    bool arrived[SOURCES], is_ignored;
    byte aligning, last, done, number;
    mtype kind;
end:
    do
    :: atomic { IS_OPEN(0) && nempty(edge[0]) -> take(0) }
    :: atomic { IS_OPEN(1) && nempty(edge[1]) -> take(1) }
    :: atomic { abort?number -> barrier_abort(number); number = 0 }
    od
}

inline forget_pending()
{
    d_step {
        pending = 0;
        acked = 0;
        snapshot.sent[0] = 0;
        snapshot.sent[1] = 0;
        snapshot.taken[0] = 0;
        snapshot.taken[1] = 0
    }
}

inline check_cut()
{
    d_step {
        assert(pending > last_completed); /* I6 */
        assert(snapshot.taken[0] == snapshot.sent[0]); /* I2, I3 */
        assert(snapshot.taken[1] == snapshot.sent[1]);
        last_completed = pending
    }
}

/* coordinator.c: one checkpoint at a time; acks of other ones are ignored. */
proctype coordinator()
{
    byte started, acked, checkpoint, who;
    do
    :: started == CHECKPOINTS -> break
    :: started < CHECKPOINTS -> /* coordinator_tick */
        atomic {
            started++;
            pending = started;
            trigger[0]!pending;
            trigger[1]!pending
        }
        do
        :: atomic {
                acks?checkpoint(who) -> /* coordinator_acked */
                if
                :: checkpoint == pending -> assert((acked & who) == 0); acked = acked | who
                :: else
                fi;
                checkpoint = 0;
                who = 0
            }
        :: acked == EVERYBODY -> atomic { check_cut(); forget_pending() }; break
        :: acked != EVERYBODY && aborted < ABORTS ->
            atomic { aborted++; abort!pending; forget_pending() };
            break
        od
    od;
    is_over = true
}

init
{
    atomic {
        run coordinator();
        run source(0);
        run source(1);
        run task()
    }
    timeout -> /* no step is left */
    assert(is_over);
    assert(last_completed + aborted >= CHECKPOINTS);
    assert(taken[0] == RECORDS && taken[1] == RECORDS)
}
