/** Keeps the client's state where a browser keeps things. Servers keep it in a file or a database of their own. */
import type { EndpointStorage } from './types.ts'

/** @param storage `localStorage`, or anything with the same two functions */
export function createWebStorage(
  storage: { getItem(key: string): string | null; setItem(key: string, value: string): void },
  prefix = 'endpoints',
): EndpointStorage {
  return {
    read: async (part) => storage.getItem(`${prefix}.${part}`) ?? undefined,
    write: async (part, text) => storage.setItem(`${prefix}.${part}`, text),
  }
}
