/** Work on many things, some at a time. */

/** @returns results in the order of the items. @throws the first failure; what has begun goes on, nothing else begins */
export async function mapLimited<T, R>(
  items: readonly T[],
  atOnce: number,
  task: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  const waiting = items.entries()
  let failed = false
  const lane = async () => {
    for (const [index, item] of waiting) {
      if (failed) return
      results[index] = await task(item).catch((error: unknown) => {
        failed = true
        throw error
      })
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Math.min(atOnce, items.length)) }, lane))
  return results
}
