// graphile-worker drains N jobs that wait in PostgreSQL: a local queue of 500 and batched completion, 64 at once.
//
// DATABASE_URL, N, SINK (the gateway's base URL) and MODE:
//   insert    the handler only writes its result
//   post      the handler sends an SMS to the gateway and writes the gateway's id; no receipts are asked for
//   receipts  as post, and the gateway's receipts come back to this process, which writes them, as many at once as came
// Prints one line of JSON: milliseconds until every job was done and its result committed, and until the last receipt was.

import http from "node:http";
import pg from "pg";
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const { DATABASE_URL: connectionString, SINK: sink, MODE: mode = "insert" } = process.env;
const count = Number(process.env.N);
const pgPool = new pg.Pool({ connectionString, max: 20 });
// A connection that breaks ends the run.
const broken = (error) => {
  throw error;
};
pgPool.on("error", broken).on("connect", (client) => client.on("error", broken));
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const silent = new Logger(() => () => {});

await pgPool.query(`CREATE TABLE outcome (job BIGINT PRIMARY KEY, ref TEXT, at TIMESTAMPTZ NOT NULL DEFAULT now());
  CREATE TABLE receipt (job BIGINT PRIMARY KEY, word TEXT NOT NULL, at TIMESTAMPTZ NOT NULL DEFAULT now())`);
const utils = await makeWorkerUtils({ pgPool, logger: silent });
await utils.migrate();
for (let first = 0; first < count; first += 1000) {
  const jobs = [];
  for (let n = first; n < Math.min(first + 1000, count); n++) {
    jobs.push({ identifier: "sms", payload: { n, to: `+4670174${1000000 + n}`, text: "Polisen söker en röd skåpbil. Ring 112." } });
  }
  await utils.addJobs(jobs);
}
await pgPool.query("ANALYZE");

let written = 0;
let reported = 0;
const hooks = await receiptHooks();
const begun = performance.now();
const runner = await run({
  pgPool,
  logger: silent,
  noHandleSignals: true,
  taskList: { sms: mode === "insert" ? record : send },
  preset: {
    worker: { concurrentJobs: 64, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
  },
});
// The database is asked only once everything is through the handler, so as not to slow it.
await until(() => written === count);
await until(async () => (await one("SELECT count(*) AS n FROM graphile_worker._private_jobs")) === 0);
const drained = performance.now() - begun;
if ((await one("SELECT count(*) AS n FROM outcome")) !== count) throw new Error("not every job has its result");
if (mode === "receipts") await until(() => reported === count);
const receipts = mode === "receipts" ? performance.now() - begun : null;
if (mode === "receipts" && (await one("SELECT count(*) AS n FROM receipt")) !== count) throw new Error("not every receipt is there");
console.log(JSON.stringify({ drained_ms: drained, receipts_ms: receipts }));
await runner.stop();
process.exit(0);

async function record(payload) {
  await write(payload.n, null);
}

async function send(payload) {
  const form = new URLSearchParams({ from: "+46766860000", to: payload.to, message: payload.text });
  if (hooks) form.set("whendelivered", `${hooks}/${payload.n}`);
  const answer = await post(`${sink}/a1/sms`, form.toString());
  await write(payload.n, JSON.parse(answer).id);
}

async function write(job, ref) {
  await pgPool.query({ name: "outcome", text: "INSERT INTO outcome (job, ref) VALUES ($1, $2)", values: [job, ref] });
  written++;
}

function post(url, body) {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      "content-length": Buffer.byteLength(body),
      authorization: `Basic ${btoa("simulator:simulator")}`,
    };
    const request = http.request(url, { method: "POST", agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece) => (text += piece));
      response.on("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    request.on("error", reject).end(body);
  });
}

// Where receipts come in: all that wait are one INSERT, and each is answered after it.
async function receiptHooks() {
  if (mode !== "receipts") return null;
  let waiting = [];
  let writing = false;
  const flush = async () => {
    writing = true;
    while (waiting.length > 0) {
      const batch = waiting.splice(0, 1000);
      const jobs = batch.map(({ job }) => job);
      await pgPool.query({
        name: "receipts",
        text: "INSERT INTO receipt (job, word) SELECT n, 'delivered' FROM unnest($1::bigint[]) AS v (n) ON CONFLICT DO NOTHING",
        values: [jobs],
      });
      reported += batch.length;
      for (const { response } of batch) response.writeHead(204).end();
    }
    writing = false;
  };
  const server = http.createServer((request, response) => {
    request.resume().on("end", () => {
      waiting.push({ job: Number(request.url.slice(1)), response });
      if (!writing) flush();
    });
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return `http://127.0.0.1:${server.address().port}`;
}

async function one(sql) {
  return Number((await pgPool.query(sql)).rows[0].n);
}

async function until(done) {
  while (!(await done())) await new Promise((next) => setTimeout(next, 25));
}
