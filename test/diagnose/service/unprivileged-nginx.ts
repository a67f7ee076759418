/** Prints the nginx findings for the configuration in argv as JSON: started by a test as a user without rights. */
import { nginxCheck } from '../../../scripts/lib/diagnose/service/nginx/check.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { contextOf } from './support.ts'

const { findings } = await nginxCheck.run(contextOf(openLocalHost(), { nginx: { config: process.argv[2] } }))
process.stdout.write(JSON.stringify(findings))
process.exit(0)
