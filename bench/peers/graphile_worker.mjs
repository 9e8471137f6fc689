// graphile-worker: jobs that run at an instant. What it is told is in told.py.
import { Logger, run, runMigrations } from "graphile-worker";
import pg from "pg";

const told = JSON.parse(process.argv[2]);
const pool = new pg.Pool({
  host: told.host,
  user: told.user,
  database: told.database,
  max: told.connections ?? 10,
});
for (const event of ["error", "connect"]) pool.on(event, () => {}); // it asks for both

// as add_jobs() would, but many rows in one statement
const PLANT = `
  SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
    SELECT row('fire', json_build_object('number', number, 'due', due), NULL, due,
      NULL, NULL, NULL, NULL)::graphile_worker.job_spec
    FROM generate_series($1::int, $2::int) AS number,
      LATERAL (SELECT $3::timestamptz + number * $4::float8 * interval '1 s') AS at (due)
  ))`;

async function plant() {
  await runMigrations({ pgPool: pool });
  const much_later = new Date(Date.now() + 365 * 86_400_000);
  for (let at = 0; at < told.idle; at += 10_000)
    await pool.query(PLANT, [at, Math.min(at + 10_000, told.idle) - 1, much_later, 0]);
  const first = new Date(Date.now() + told.ahead * 1000);
  for (let at = 0; at < told.count; at += 10_000)
    await pool.query(PLANT, [at, Math.min(at + 10_000, told.count) - 1, first, told.every]);
  await pool.end();
}

async function work() {
  const taskList = {
    fire: async ({ number, due }) => {
      await pool.query({ name: "fire", text: told.insert, values: [number, due, told.payload] });
    },
  };
  console.log(Date.now() / 1000);
  await run({
    pgPool: pool,
    taskList,
    logger: new Logger(() => () => {}),
    noHandleSignals: true,
    preset: { worker: told.worker },
  });
}

if (told.doing.includes("plant")) await plant();
if (told.doing.includes("work")) await work();
