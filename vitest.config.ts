import { defineConfig } from 'vitest/config'

/** Files that look at the whole machine (its CPU, its processes, its logs): what others do at the same time is seen, too. */
const ALONE = [
  'test/cli/diagnose.server.test.ts',
  'test/diagnose/host/*.server.test.ts',
  'test/schedule/*.server.test.ts',
]

/**
 * Three projects, one after the other: `unit` runs as many files at once as there are cores; `server` starts real servers,
 * which mostly wait, so two files at once; `alone` takes turns.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.server.test.ts'],
          setupFiles: ['test/support/properties.ts'],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'server',
          include: ['test/**/*.server.test.ts'],
          exclude: ALONE,
          setupFiles: ['test/support/properties.ts'],
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'alone',
          include: ALONE,
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
