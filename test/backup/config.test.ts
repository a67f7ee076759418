import { describe, expect, it } from 'vitest'
import { validateConfig } from '../../scripts/lib/config/validate.ts'

const validate = (source: string) =>
  validateConfig(`backup: { databases: { app: { ${source} } } }`, 'opskit.yaml', { directory: '/', home: '/root' })

describe('a database source', () => {
  it.each([
    ['type: mariadb, drill_into: other, drill_image: "mariadb:10.11"', 'leave out drill_into or drill_image'],
    ['type: sqlite, file: /a.db, drill_image: "sqlite:3"', 'SQLite has no server'],
    ['type: mariadb, tls: prefer', 'backup.databases.app.tls'],
  ])('%s is refused', (source, because) => {
    expect(() => validate(source)).toThrow(because)
  })

  it('has no encryption asked for unless it says so', () => {
    expect(validate('type: mariadb').backup.databases['app']).toMatchObject({ tls: 'off' })
  })
})
