// nodemailer sends N mails over a pool of 10 connections to HOST:PORT: a text and an HTML part of TEXT and HTML octets.
// Prints one line of JSON: milliseconds from the first mail until the last was taken.

import nodemailer from "nodemailer";

const { HOST: host, PORT: port, N, TEXT, HTML } = process.env;
const pool = nodemailer.createTransport({
  host,
  port: Number(port),
  pool: true,
  maxConnections: 10,
  maxMessages: Infinity,
  secure: false,
  ignoreTLS: true,
});
const line = "Under hösten har flera förråd i området fått besök. Lås och märk det ni är rädda om.\n";
const text = line.repeat(Math.ceil(Number(TEXT) / Buffer.byteLength(line)));
const html = `<p>${line}</p>`.repeat(Math.ceil(Number(HTML) / (Buffer.byteLength(line) + 7)));
let next = 0;

async function sender() {
  while (next < Number(N)) {
    const n = next++;
    await pool.sendMail({
      from: "Polisområde Jämtland <grannsamverkan@example.org>",
      to: `k${n}@example.org`,
      subject: "Läget i höst",
      text,
      html,
    });
  }
}

const begun = performance.now();
// Twice as many as there are connections wait, so that none is ever idle.
await Promise.all(Array.from({ length: 20 }, sender));
console.log(JSON.stringify({ sent_ms: performance.now() - begun }));
pool.close();
