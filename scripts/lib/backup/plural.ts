/** `1 table`, `22,075 rows`: counts as backups are described with. */
export function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}
