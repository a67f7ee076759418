/** How far long work has come, told by whoever does it to whoever shows it. */
export interface Progress {
  /** `totalBytes` is 0 when it is not known. */
  update(doneBytes: number, totalBytes: number, what: string): void
}

/** Tells nobody. */
export const silentProgress: Progress = { update() {} }
