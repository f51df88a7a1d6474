/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: look-up on lanes against discard, snapshot, commit and the reuse of
 * clusters. README.md says which line stands for what in blockcore/format/qcow2.
 *
 * Two guest clusters of two units each, NH host clusters, one L2 table. What has
 * been written and not flushed may be on disk or not, each piece by itself: of
 * entries and data there are sets of what a power cut may leave, of counts the
 * lowest.
 *
 * Held to at every moment (`sound`):
 *  - a count on disk is never below the references on disk;
 *  - after a power cut a unit shows its last flushed value or a later one;
 *  - a unit shows now what was written last;
 *  - a snapshot that is named shows what was there when it was taken;
 * and each read returns a value that the unit had while the read was under way.
 *
 * BUG_... seeds one mistake (mutants.txt).
 */
#ifndef NH
#define NH 3
#endif
/* How many requests of each kind: writes to unit 0 and unit 1 of guest cluster 0
 * and to guest cluster 1, discards and reads of guest cluster 0, flushes. */
#ifndef WRITES_A
#define WRITES_A 0
#endif
#ifndef WRITES_B
#define WRITES_B 0
#endif
#ifndef WRITES_C
#define WRITES_C 0
#endif
#ifndef DISCARDS
#define DISCARDS 0
#endif
#ifndef READS
#define READS 0
#endif
#ifndef FLUSHES
#define FLUSHES 0
#endif

#define BIT(v) (1 << (v))
#define AT(h, u) ((h) * 2 + (u)) /* a unit of a host cluster */
#define CELL(g, u) ((g) * 2 + (u)) /* a unit of a guest cluster */
#define OLD 7 /* the value that guest cluster 0 begins with */
#define LANES 5

/* -- memory of home: map.c, refcount.c, epochs.h -------------------------- */
byte ent[2];		/* host cluster that the entry names; 0: none */
bool copied[2];		/* its COPIED bit */
bool dirty[2];		/* in the epoch that is open */
bool lock[2];		/* lock.c */
byte cnt[NH + 1];	/* refcounts */
byte freed[NH + 1];	/* since the last commit */
byte unnamed[NH + 1];	/* durably; may be in use */
bool running;		/* a commit */
bool sharing, waits, share_mutex, gate;

/* -- lanes: view.c -------------------------------------------------------- */
bool phase[LANES];
byte inside[LANES * 2];	/* requests, by phase */
#define IDLE(l) (inside[(l) * 2] + inside[(l) * 2 + 1] == 0)

/* -- the file ------------------------------------------------------------- */
byte val[(NH + 1) * 2];	/* what a read returns */
byte dval[(NH + 1) * 2];/* set: what a power cut may leave */
byte went[2], dset[2];	/* the same for entries: the last written; the set */
byte wcnt[NH + 1], dmin[NH + 1];
byte sent[2], sval[4];	/* the snapshot's entries, and what they show */
bool named;		/* the header on disk may name it */

/* -- what hosts may see --------------------------------------------------- */
byte cur[4];		/* set: now */
byte group[4], n[4];	/* requests that overlap each other: any may be last */
byte may[4], later[4];	/* sets: after a power cut; once the flush is answered */
byte seen[4];		/* set: since a read began */

#define REFS(h) (((dset[0] >> (h)) & 1) + ((dset[1] >> (h)) & 1) + \
	(named && sent[0] == (h)) + (named && sent[1] == (h)))
#define COUNTED(h) (dmin[h] >= REFS(h))
#define DURABLE(g, u, h) (!((dset[g] >> (h)) & 1) || \
	!(dval[AT(h, u)] & ~may[CELL(g, u)]))
#define HOLE(g, u) (!(dset[g] & 1) || (may[CELL(g, u)] & 1))
#define SHOWN(g, u) (ent[g] -> val[AT(ent[g], u)] : 0)
#define LIVE(g, u) (BIT(SHOWN(g, u)) & cur[CELL(g, u)])
#define KEPT(g, u) (!named || !sent[g] || \
	dval[AT(sent[g], u)] == BIT(sval[CELL(g, u)]))
#if NH == 3
#define EACH(F, g, u) (F(g, u, 1) && F(g, u, 2) && F(g, u, 3))
#define ALL_COUNTED (COUNTED(1) && COUNTED(2) && COUNTED(3))
#else
#define EACH(F, g, u) (F(g, u, 1) && F(g, u, 2) && F(g, u, 3) && F(g, u, 4))
#define ALL_COUNTED (COUNTED(1) && COUNTED(2) && COUNTED(3) && COUNTED(4))
#endif
#define SOUND(g, u) (EACH(DURABLE, g, u) && HOLE(g, u) && LIVE(g, u) && KEPT(g, u))
#define sound (ALL_COUNTED && SOUND(0, 0) && SOUND(0, 1) && SOUND(1, 0) && \
	SOUND(1, 1))

proctype always()
{
end:
	atomic { !(sound) -> assert(false) }
}

/* -- the file's operations ------------------------------------------------ */

inline write_unit(host, unit, value)
{
	val[AT(host, unit)] = value;
	dval[AT(host, unit)] = dval[AT(host, unit)] | BIT(value)
}
inline write_entry(guest, host)
{
	went[guest] = host;
	dset[guest] = dset[guest] | BIT(host)
}
inline write_count(host)
{
	wcnt[host] = cnt[host];
	if
	:: wcnt[host] < dmin[host] -> dmin[host] = wcnt[host]
	:: else
	fi
}
inline write_counts(k)
{
	for (k : 1 .. NH) { write_count(k) }
}
inline fdatasync(k)
{
	for (k : 0 .. 1) { dset[k] = BIT(went[k]) }
	for (k : 1 .. NH) {
		dmin[k] = wcnt[k];
		dval[AT(k, 0)] = BIT(val[AT(k, 0)]);
		dval[AT(k, 1)] = BIT(val[AT(k, 1)])
	}
}

/* -- requests ------------------------------------------------------------- */

inline begins(cell, value)
{
	if
	:: n[cell] == 0 -> group[cell] = 0
	:: else
	fi;
	n[cell]++;
	group[cell] = group[cell] | BIT(value);
	cur[cell] = cur[cell] | BIT(value);
	may[cell] = may[cell] | BIT(value);
	later[cell] = later[cell] | BIT(value);
	seen[cell] = seen[cell] | BIT(value)
}
inline failed(cell)
{
	group[cell] = group[cell] | cur[cell]
}
inline ends(cell)
{
	n[cell]--;
	if
	:: n[cell] == 0 -> cur[cell] = group[cell]
	:: else
	fi
}
inline enter(lane)
{
	mine = phase[lane];
	inside[lane * 2 + mine]++
}
inline leave(lane)
{
	inside[lane * 2 + mine]--
}

/* share.c: settle_one_co; all of the one table. Two steps: counts, bits. */
inline settle()
{
#ifndef BUG_SETTLE_FORGOTTEN
	if
	:: atomic { sharing && waits && !share_mutex -> share_mutex = true }
		if
		:: atomic { waits ->
			if
			:: ent[0] -> cnt[ent[0]]++
			:: else
			fi;
			if
			:: ent[1] -> cnt[ent[1]]++
			:: else
			fi }
			atomic {
#ifndef BUG_SHARE_COPIED_KEPT
			copied[0] = false; dirty[0] = true;
			copied[1] = false; dirty[1] = true;
#endif
			waits = false }
		:: !waits -> skip
		fi;
		share_mutex = false
	:: atomic { !(sharing && waits) -> skip }
	fi;
#endif
	skip
}

inline range_lock(guest)
{
#ifndef BUG_RANGE_LOCK_SKIPPED
	atomic { !lock[guest] -> lock[guest] = true };
#endif
	skip
}
inline range_unlock(guest)
{
	lock[guest] = false
}

/* write.c: what a lane does by itself, or sends home. */
proctype writer(byte l, g, u, first, count)
{
	byte h, new, pad, i;
	bool mine, own;

	do
	:: count == 0 -> break
	:: atomic { count > 0 && !gate -> count--; begins(CELL(g, u), first);
#ifdef BUG_COUNTED_LATE
		h = ent[g]; own = copied[g] && !sharing }
		enter(l);
#else
		enter(l) }
		atomic { h = ent[g];
#ifdef BUG_SHARING_IGNORED
		own = copied[g]
#else
		own = copied[g] && !sharing
#endif
		}
#endif
		if
		:: h && own -> atomic { write_unit(h, u, first) }
		:: else ->
			range_lock(g);
			settle();
#ifndef BUG_OLD_LOOK_UP
			atomic { h = ent[g]; own = copied[g] };
#endif
			if
			:: h && own -> atomic { write_unit(h, u, first) }
			:: else ->
				/* pool.c: zeroed and counted before it is given out */
				atomic {
					new = 1;
					do
					:: new <= NH && cnt[new] -> new++
					:: else -> break
					od;
					if
					:: new <= NH -> cnt[new] = 1;
#ifndef BUG_POOL_NOT_ZEROED
						write_unit(new, 0, 0);
						write_unit(new, 1, 0);
#endif
						write_count(new)
					:: else -> failed(CELL(g, u))
					fi
				}
				if
				:: new <= NH ->
#ifdef BUG_ENTRY_BEFORE_DATA
					atomic { ent[g] = new; copied[g] = true; dirty[g] = true }
#endif
					pad = 0;
					if
					:: h -> pad = val[AT(h, 1 - u)]
					:: else
					fi;
					atomic {
						write_unit(new, u, first);
						if
						:: h -> write_unit(new, 1 - u, pad)
						:: else
						fi
					}
					atomic {
						if
						:: h -> freed[h]++
						:: else
						fi;
						ent[g] = new;
						copied[g] = true;
						dirty[g] = true
					}
				:: else
				fi
			fi;
			range_unlock(g)
		fi;
		atomic { ends(CELL(g, u)); leave(l); first++ }
	od
}

/* zero.c: a DISCARD of guest cluster 0. */
proctype discarder(byte l, count)
{
	byte i;
	bool mine;

	do
	:: count == 0 -> break
	:: atomic { count > 0 && !gate -> count--;
		begins(CELL(0, 0), 0); begins(CELL(0, 1), 0); enter(l) }
		range_lock(0);
		settle();
		atomic {
			if
			:: ent[0] -> freed[ent[0]]++
			:: else
			fi;
			ent[0] = 0;
			copied[0] = false;
			dirty[0] = true;
			range_unlock(0)
		}
		atomic { ends(CELL(0, 0)); ends(CELL(0, 1)); leave(l) }
	od
}

/* read.c: a READ of guest cluster 0, unit by unit. */
proctype reader(byte l, count)
{
	byte h, v;
	bool mine;

	do
	:: count == 0 -> break
	:: atomic { count > 0 && !gate -> count--;
		seen[0] = cur[0]; seen[1] = cur[1];
#ifdef BUG_COUNTED_LATE
		h = ent[0] }
		enter(l);
#else
		enter(l) }
		h = ent[0];
#endif
		atomic { v = (h -> val[AT(h, 0)] : 0);
			assert(BIT(v) & seen[0]) }
		atomic { v = (h -> val[AT(h, 1)] : 0);
			assert(BIT(v) & seen[1]) }
		atomic { leave(l); h = 0; v = 0 }
	od
}

/* -- epoch.c -------------------------------------------------------------- */

inline commit()
{
	atomic { !running -> running = true };
	/* close_epoch */
	atomic {
		for (i : 0 .. 1) { copy[i] = ent[i]; late[i] = dirty[i]; dirty[i] = false }
#ifndef BUG_CLOSED_LATE
		for (i : 1 .. NH) { gone[i] = freed[i]; freed[i] = 0 }
#endif
	}
#ifdef BUG_ENTRIES_BEFORE_COUNTS
	atomic { for (i : 0 .. 1) { if :: late[i] -> write_entry(i, copy[i]) :: else fi } };
#endif
	atomic { write_counts(i) };
#ifndef BUG_EARLY_UNFLUSHED
	atomic { fdatasync(i) };
#endif
	if
	:: late[0] -> atomic { write_entry(0, copy[0]) }
	:: else
	fi;
	if
	:: late[1] -> atomic { write_entry(1, copy[1]) }
	:: else
	fi;
#ifndef BUG_LATE_UNFLUSHED
	atomic { fdatasync(i) };
#endif
	atomic {
#ifdef BUG_CLOSED_LATE
		for (i : 1 .. NH) { gone[i] = freed[i]; freed[i] = 0 }
#endif
		for (i : 1 .. NH) { unnamed[i] = unnamed[i] + gone[i]; gone[i] = 0 }
		for (i : 0 .. 1) { copy[i] = 0; late[i] = false }
		i = 0;
		running = false
	}
}

proctype flusher(byte count)
{
	byte i, copy[2], gone[NH + 1];
	bool late[2];

	do
	:: count == 0 -> break
	:: atomic { count > 0 -> count--;
		for (i : 0 .. 3) { later[i] = cur[i] } }
		commit();
		atomic { for (i : 0 .. 3) { may[i] = later[i] } }
	od
}

#define SOME(list) (list[1] + list[2] + list[3] + list[NH] > 0)
inline take_list()
{
	for (i : 1 .. NH) { list[i] = unnamed[i]; unnamed[i] = 0 }
}

/* reclaim_co, with view.c's drain: each lane changes its phase in its own time. */
proctype reclaimer()
{
	byte i, list[NH + 1];
	bool old[LANES];

end:
	do
#ifdef BUG_FREED_AT_ONCE
	:: atomic { SOME(freed) ->
		for (i : 1 .. NH) { list[i] = freed[i]; freed[i] = 0 } }
#else
	:: atomic { SOME(unnamed) -> skip;
#ifndef BUG_LIST_AFTER_DRAIN
		take_list()
#endif
		}
#endif
#ifndef BUG_DRAIN_FORGOTTEN
		i = 0;
		do
		:: atomic { i < LANES -> old[i] = phase[i]; phase[i] = !old[i]; i++ }
		:: atomic { i == LANES -> i = 0; break }
		od;
#ifndef BUG_DRAIN_NOT_AWAITED
		do
		:: atomic { i < LANES && inside[i * 2 + old[i]] == 0 -> old[i] = false; i++ }
		:: atomic { i == LANES -> i = 0; break }
		od;
#endif
#endif
#ifdef BUG_LIST_AFTER_DRAIN
		atomic { take_list() };
#endif
		atomic {
			for (i : 1 .. NH) {
				assert(cnt[i] >= list[i]);
				cnt[i] = cnt[i] - list[i];
				list[i] = 0
			}
			i = 0
		}
	od
}

/* -- share.c, unshare.c --------------------------------------------------- */

#ifdef SNAPSHOT
#define SINGLE(g) (cnt[ent[g]] == 1)
inline regain(guest)
{
	if
	:: ent[guest] && !copied[guest] && SINGLE(guest) -> copied[guest] = true; dirty[guest] = true
	:: else
	fi
}

proctype snapshot()
{
	byte i, copy[2], gone[NH + 1];
	bool late[2];

	/* take: behind the gate */
	gate = true;
#ifndef BUG_GATE_FORGOTTEN
	atomic { IDLE(0) && IDLE(1) && IDLE(2) && IDLE(3) && IDLE(4) -> skip };
#endif
	commit();
	atomic {
		for (i : 0 .. 1) {
			sent[i] = ent[i];
			sval[CELL(i, 0)] = (ent[i] -> val[AT(ent[i], 0)] : 0);
			sval[CELL(i, 1)] = (ent[i] -> val[AT(ent[i], 1)] : 0)
		}
		waits = true;
		sharing = true;
		gate = false;
		i = 0
	}
	/* end: counts, bits, both tables, before the header says so */
	settle();
#ifndef BUG_NAMED_UNCOMMITTED
	commit();
#endif
	named = true;
	atomic { fdatasync(i); i = 0 };
	sharing = false;
	atomic { !share_mutex -> skip };

	/* delete: the name goes first */
	commit();
#ifndef BUG_DELETE_COUNTS_EARLY
	atomic { fdatasync(i); named = false; i = 0 };
#endif
	atomic {
		if
		:: sent[0] -> cnt[sent[0]]--
		:: else
		fi
	}
	atomic {
		if
		:: sent[1] -> cnt[sent[1]]--
		:: else
		fi
	}
	/* regain_slice_co: each entry behind a wait for its count */
#ifndef BUG_REGAIN_UNLOCKED
	atomic { !lock[0] && !lock[1] -> lock[0] = true; lock[1] = true };
#endif
	atomic { regain(0) };
	atomic { regain(1) };
#ifndef BUG_REGAIN_UNLOCKED
	atomic { lock[0] = false; lock[1] = false };
#endif
	commit();
#ifdef BUG_DELETE_COUNTS_EARLY
	atomic { fdatasync(i); named = false; i = 0 };
#endif
	skip
}
#endif

init
{
	byte i;

	atomic {
		for (i : 0 .. 3) { cur[i] = 1 }
		for (i : 0 .. 1) { cur[i] = BIT(OLD) }
		for (i : 0 .. 3) { may[i] = cur[i]; later[i] = cur[i] }
		for (i : 0 .. NH) { dval[AT(i, 0)] = 1; dval[AT(i, 1)] = 1 }
		/* Guest cluster 0 lies in host cluster 1, all of it durable. */
		for (i : 0 .. 1) { val[AT(1, i)] = OLD; dval[AT(1, i)] = BIT(OLD) }
		ent[0] = 1; copied[0] = true; went[0] = 1;
		dset[0] = BIT(1); dset[1] = 1;
		cnt[1] = 1; wcnt[1] = 1; dmin[1] = 1;
		run writer(0, 0, 0, 1, WRITES_A);
		run writer(1, 0, 1, 3, WRITES_B);
		run writer(2, 1, 0, 5, WRITES_C);
		run discarder(3, DISCARDS);
		run reader(4, READS);
		run flusher(FLUSHES);
		run reclaimer();
		run always();
#ifdef SNAPSHOT
		run snapshot();
#endif
		i = 0
	}
}
