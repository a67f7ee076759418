/** The only file that knows every action. A new capability is a room and a line here. */
import type { Action, ActionEntry } from './action/types.ts'
import { createRunByName } from './action/by-name.ts'
import type { Config } from './config/types.ts'
import { OpsError } from './core/errors.ts'
import { nearestName } from './core/nearest.ts'
import type { MoreChecks } from './diagnose/types.ts'

/** Checks of other rooms that the diagnosis runs beside its own. */
export const MORE_CHECKS: readonly MoreChecks[] = [
  {
    names: ['endpoint.api', 'endpoint.socketio'],
    of: async (context) => (await import('./endpoint/checks.ts')).endpointChecks(context),
  },
  {
    names: ['backup.age', 'backup.drill', 'backup.copy', 'backup.repository'],
    of: async (context) => (hasBackups(context.config) ? [(await import('./backup/check.ts')).backupCheck] : []),
  },
]

export const CATALOG: readonly ActionEntry[] = [
  {
    name: 'diagnose.run',
    summary: 'One look at machines: what is wrong, how badly, and what to do next',
    changes: false,
    load: async () => (await import('./diagnose/action.ts')).createDiagnoseAction({ more: MORE_CHECKS }),
  },
  {
    name: 'endpoint.check',
    summary: 'Asks every endpoint for its health, and runs what is configured for a switch',
    changes: false,
    load: async () => (await import('./endpoint/action-look.ts')).createCheckAction(createRunByName(findAction)),
  },
  {
    name: 'endpoint.list',
    summary: 'The endpoints of this machine, as they were found last',
    changes: false,
    load: async () => (await import('./endpoint/action-look.ts')).listAction,
  },
  {
    name: 'endpoint.lint',
    summary: 'Reads the file of a list strictly: what is lost, doubled or no host, by line',
    changes: false,
    load: async () => (await import('./endpoint/action-look.ts')).lintAction,
  },
  {
    name: 'endpoint.add',
    summary: 'Adds an endpoint by hand, or changes its priority; it stays whatever list is fetched',
    changes: true,
    load: async () => (await import('./endpoint/action-change.ts')).addAction,
  },
  {
    name: 'endpoint.remove',
    summary: 'Takes an endpoint out of the list',
    changes: true,
    load: async () => (await import('./endpoint/action-change.ts')).removeAction,
  },
  {
    name: 'endpoint.use',
    summary: 'Uses one endpoint while it answers, whatever its priority; "auto" goes back to priorities',
    changes: true,
    load: async () => (await import('./endpoint/action-change.ts')).useAction,
  },
  {
    name: 'endpoint.update',
    summary: 'Fetches the list from a server and takes it over; on any error the list stays',
    changes: true,
    load: async () => (await import('./endpoint/action-change.ts')).updateAction,
  },
  {
    name: 'backup.database',
    summary: 'Makes a verified backup of a database',
    changes: true,
    load: async () => (await import('./backup/action-run.ts')).backupDatabaseAction,
  },
  {
    name: 'backup.config',
    summary: 'Makes a verified backup of a set of configuration files',
    changes: true,
    load: async () => (await import('./backup/action-run.ts')).backupConfigAction,
  },
  {
    name: 'backup.static',
    summary: 'Makes a verified backup of a set of static files',
    changes: true,
    load: async () => (await import('./backup/action-run.ts')).backupStaticAction,
  },
  {
    name: 'backup.run',
    summary: 'Makes verified backups of several sources, or of a group at one moment',
    changes: true,
    load: async () => (await import('./backup/action-run.ts')).backupRunAction,
  },
  {
    name: 'backup.prune',
    summary: 'Removes the backups that the retention policy does not keep',
    changes: true,
    load: async () => (await import('./backup/action-prune.ts')).pruneAction,
  },
  {
    name: 'backup.copy',
    summary: 'Copies backups to another host or a restic repository, verified on arrival',
    changes: true,
    load: async () => (await import('./backup/action-copy.ts')).copyAction,
  },
  {
    name: 'backup.pin',
    summary: 'Keeps a backup from being pruned, or lets it go again',
    changes: true,
    load: async () => (await import('./backup/action-pin.ts')).pinAction,
  },
  {
    name: 'notify.flush',
    summary: 'Sends what waits in the outbox of notifications',
    changes: true,
    load: async () => (await import('./notify/action.ts')).createFlushAction(),
  },
  {
    name: 'notify.outbox',
    summary: 'What waits in the outbox, what was given up, and which alerts are open',
    changes: false,
    load: async () => (await import('./notify/action-outbox.ts')).outboxAction,
  },
  {
    name: 'notify.test',
    summary: 'Sends a test over one channel and says what the far side answered',
    changes: true,
    load: async () => (await import('./notify/action.ts')).createTestAction(),
  },
  {
    name: 'container.recreate',
    summary: 'Makes a container anew, with its settings, from the current image or another; undone unless it is well',
    changes: true,
    load: async () => (await import('./container/action-recreate.ts')).recreateAction,
  },
  {
    name: 'container.restore',
    summary: 'Brings back the container that container.recreate has kept',
    changes: true,
    load: async () => (await import('./container/action-restore.ts')).restoreAction,
  },
  {
    name: 'command.run',
    summary: 'Run a program on this machine or on a host',
    changes: true,
    load: async () => (await import('./action/command.ts')).createCommandAction(),
  },
  {
    name: 'runbook.tick',
    summary: 'Fires the timers and the escalation of incidents that are open',
    changes: false,
    load: async () => (await import('./runbook/tick.ts')).tickAction,
  },
  {
    name: 'backup.verify',
    summary: 'Reads backups to their end and compares them with their checksums',
    changes: false,
    load: async () => (await import('./backup/verify/action.ts')).verifyAction,
  },
  {
    name: 'backup.drill',
    summary: 'Restores backups into a throw-away place, compares them with their manifests, and measures the time',
    changes: false,
    load: async () => (await import('./backup/drill/action.ts')).drillAction,
  },
  {
    name: 'restore.database',
    summary: 'Restores databases from a backup: loaded beside, compared, then swapped in',
    changes: true,
    load: async () => (await import('./backup/restore/action-database.ts')).restoreDatabaseAction,
  },
  {
    name: 'restore.config',
    summary: 'Restores configuration: put in place, and nginx and compose must use it',
    changes: true,
    load: async () => (await import('./backup/restore/action-files.ts')).restoreConfigAction,
  },
  {
    name: 'restore.static',
    summary: 'Restores static files: unpacked beside, compared, then put in place',
    changes: true,
    load: async () => (await import('./backup/restore/action-files.ts')).restoreStaticAction,
  },
  {
    name: 'restore.resume',
    summary: 'Finishes a restore that was interrupted',
    changes: true,
    load: async () => (await import('./backup/restore/action-finish.ts')).resumeRestoreAction,
  },
  {
    name: 'restore.undo',
    summary: 'Takes back a restore: one that was interrupted, or a finished one',
    changes: true,
    load: async () => (await import('./backup/restore/action-finish.ts')).undoRestoreAction,
  },
  {
    name: 'restore.discard',
    summary: 'Removes for good what a finished restore has kept of what was there before',
    changes: true,
    load: async () => (await import('./backup/restore/action-finish.ts')).discardRestoreAction,
  },
]

/** @throws OpsError USAGE with the nearest name */
export async function findAction(name: string): Promise<Action> {
  const entry = CATALOG.find((candidate) => candidate.name === name)
  if (entry) return entry.load()
  const near = nearestName(
    name,
    CATALOG.map((candidate) => candidate.name),
  )
  throw new OpsError('USAGE', `there is no action "${name}"`, near ? { hint: `Did you mean ${near}?` } : {})
}

function hasBackups({ backup }: Config): boolean {
  return [backup.databases, backup.config, backup.static].some((sources) => Object.keys(sources).length > 0)
}
