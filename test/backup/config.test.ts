import { describe, expect, it } from 'vitest'
import { validateConfig } from '../../scripts/lib/config/validate.ts'

const validate = (source: string) =>
  validateConfig(`backup: { databases: { app: { ${source} } } }`, 'opskit.yaml', { directory: '/', home: '/root' })

describe('a database source', () => {
  it.each([
    ['type: mariadb, drill_into: other, drill_image: "mariadb:10.11"', 'leave out drill_into or drill_image'],
    ['type: sqlite, file: /a.db, drill_image: "sqlite:3"', 'SQLite has no server'],
    ['type: mariadb, drill_image: "../containers/app"', 'must be the name of an image'],
    ['type: mariadb, drill_image: "mariadb; reboot"', 'must be the name of an image'],
    ['type: mariadb, tls: prefer', 'backup.databases.app.tls'],
  ])('%s is refused', (source, because) => {
    expect(() => validate(source)).toThrow(because)
  })

  it.each([
    'mariadb',
    'mariadb:10.11',
    'library/mariadb:10.11',
    'registry.example.com:5000/team/my-db_1:v1.2-rc',
    `mariadb@sha256:${'a'.repeat(64)}`,
    `sha256:${'b'.repeat(64)}`,
    '0123456789ab',
  ])('may be drilled in the image %s', (image) => {
    expect(validate(`type: mariadb, drill_image: "${image}"`).backup.databases['app']).toMatchObject({
      drill_image: image,
    })
  })

  it('has no encryption asked for unless it says so', () => {
    expect(validate('type: mariadb').backup.databases['app']).toMatchObject({ tls: 'off' })
  })
})
