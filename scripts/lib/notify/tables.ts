/**
 * The tables of notifications in the journal's database.
 *
 * A message is in one of four states, and only these moves exist:
 *   waiting -> sent      the far side took it
 *   waiting -> dead      it never will, or not in time; `flush --retry-dead` makes it waiting again
 *   waiting -> closed    the alert ended before anybody was told: the recovery says it all
 *   waiting -> waiting   it may be taken later
 * While it is under way it is waiting with a claim: the name of a lease of the journal (`claim_slot`) and its fencing
 * token. A claim counts only as long as that lease is held, so the messages of a process that was killed are free at once.
 */
import type { Journal } from '../journal/types.ts'

export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE notify_alerts (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     key TEXT NOT NULL,
     severity INTEGER NOT NULL,
     title TEXT NOT NULL,
     content TEXT NOT NULL,
     opened_at INTEGER NOT NULL,
     last_at INTEGER NOT NULL,
     count INTEGER NOT NULL,
     closed_at INTEGER,
     acknowledged_at INTEGER,
     acknowledged_by TEXT
   ) STRICT;
   CREATE UNIQUE INDEX notify_alerts_open ON notify_alerts (key) WHERE closed_at IS NULL;
   CREATE TABLE notify_outbox (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     message_id TEXT NOT NULL UNIQUE,
     notice TEXT NOT NULL,
     alert_id INTEGER NOT NULL,
     channel TEXT NOT NULL,
     kind TEXT NOT NULL,
     severity INTEGER NOT NULL,
     content TEXT NOT NULL,
     count INTEGER NOT NULL,
     first_at INTEGER NOT NULL,
     last_at INTEGER NOT NULL,
     state TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     due_at INTEGER NOT NULL,
     finished_at INTEGER,
     attempts INTEGER NOT NULL DEFAULT 0,
     answer TEXT,
     recipients TEXT,
     channel_down INTEGER NOT NULL DEFAULT 0,
     claim_slot TEXT,
     claim_token INTEGER
   ) STRICT;
   CREATE INDEX notify_outbox_waiting ON notify_outbox (channel, severity, id) WHERE state = 'waiting';
   CREATE INDEX notify_outbox_alert ON notify_outbox (alert_id, channel, id);
   CREATE INDEX notify_outbox_notice ON notify_outbox (notice);
   CREATE INDEX notify_outbox_finished ON notify_outbox (finished_at) WHERE finished_at IS NOT NULL;
   CREATE TABLE notify_channels (
     channel TEXT PRIMARY KEY,
     tokens REAL NOT NULL,
     refilled_at INTEGER NOT NULL,
     held_until INTEGER NOT NULL DEFAULT 0
   ) STRICT`,
]

/** Makes the tables when they are missing. Cheap when they are there. */
export function prepareTables(journal: Journal): void {
  journal.migrate('notify', MIGRATIONS)
}
