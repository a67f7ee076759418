/** What the benches of databases are filled with: all of it at `share` 1. */
const WORDS = 'the quick brown fox jumps over the lazy dog while servers hum in the cold aisle of the data centre '

/** @returns statements for a database `bench`, of 460 MB as SQL: text, JSON, hashes, blobs, generated columns, a foreign key */
export function mariadbData(share: number): string[] {
  const [people, orders, files] = [300_000, 800_000, 300].map((rows) => Math.round(rows * share))
  return [
    'SET SESSION group_concat_max_len = 1000000',
    'CREATE DATABASE bench CHARACTER SET utf8mb4',
    'USE bench',
    `CREATE TABLE bench.people (id int PRIMARY KEY, name varchar(100), mail varchar(120), hash char(64), KEY (name)) ENGINE=InnoDB`,
    `INSERT INTO bench.people SELECT seq, CONCAT('Ünïcödé ', seq), CONCAT(MD5(seq), '@example.com'), SHA2(seq, 256) FROM seq_1_to_${people}`,
    `CREATE TABLE bench.orders (id int PRIMARY KEY, person int, code char(32), note varchar(400), amount decimal(10,2), at datetime,
     doc longtext, half decimal(10,2) AS (amount / 2) STORED, twice decimal(12,2) AS (amount * 2) VIRTUAL, KEY (code), KEY (at),
     FOREIGN KEY (person) REFERENCES bench.people (id)) ENGINE=InnoDB`,
    `INSERT INTO bench.orders (id, person, code, note, amount, at, doc) SELECT seq, 1 + seq % ${people}, MD5(seq),
     CONCAT(SUBSTR('${WORDS}', 1 + seq % 40, 50), MD5(seq + 1)), seq % 9999, '2026-01-01' + INTERVAL seq SECOND,
     CONCAT('{"sku":"', SHA1(seq), '","tags":["', MD5(seq + 2), '","', SHA2(seq, 512), '"],"text":"', SUBSTR('${WORDS}', 1 + seq % 60, 40), '"}')
     FROM seq_1_to_${orders}`,
    `CREATE TABLE bench.files (id int PRIMARY KEY, body longblob) ENGINE=InnoDB`,
    `INSERT INTO bench.files SELECT a.seq, (SELECT GROUP_CONCAT(UNHEX(SHA2(CONCAT(a.seq, '-', b.seq), 512)) SEPARATOR '')
     FROM seq_1_to_1000 b) FROM seq_1_to_${files} a`,
  ]
}

/** @returns statements for the database they are run in, of 340 MB as an archive: the same kinds of data */
export function postgresData(share: number): string[] {
  const [people, orders, files] = [300_000, 800_000, 300].map((rows) => Math.round(rows * share))
  return [
    'CREATE TABLE people (id int PRIMARY KEY, name text, mail text, hash text)',
    `INSERT INTO people SELECT i, 'Ünïcödé ' || i, md5(i::text) || '@example.com', sha256(i::text::bytea)::text FROM generate_series(1, ${people}) i`,
    'CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people, code text, note text, amount numeric, at timestamptz, doc jsonb)',
    `INSERT INTO orders SELECT i, 1 + i % ${people}, md5(i::text), substr('${WORDS}', 1 + i % 40, 50) || md5((i + 1)::text), i % 9999,
     '2026-01-01'::timestamptz + i * interval '1 second',
     jsonb_build_object('sku', md5((i + 2)::text), 'tags', sha512(i::text::bytea)::text) FROM generate_series(1, ${orders}) i`,
    'CREATE TABLE files (id int PRIMARY KEY, body bytea)',
    `INSERT INTO files SELECT i, (SELECT string_agg(sha512((i || '-' || j)::bytea), ''::bytea) FROM generate_series(1, 1000) j)
     FROM generate_series(1, ${files}) i`,
  ]
}
