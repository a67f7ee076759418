/** The journal's door. */
export { openJournal, openJournalOrMemory, openMemoryJournal } from './journal.ts'
export type { JournalOptions, MemoryJournalOptions } from './journal.ts'
export { defaultStateDir } from './state-dir.ts'
export type * from './types.ts'
