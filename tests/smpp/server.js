// An SMPP server for stories, on npm's `smpp`. It writes every SMS that it takes to a journal, one JSON object a line, before it
// answers, and is told what to do wrong by JSON objects on stdin, one a line; each is answered with `ok`.
//
//   node server.js JOURNAL PORT       prints `listening PORT`
'use strict';

const fs = require('fs');
const readline = require('readline');
const smpp = require('smpp');

const [journal, port] = process.argv.slice(2);
const journalFile = fs.openSync(journal, 'a');

const behaviour = {
  bind_code: 0, // answer to a bind
  latency_ms: 0, // before an answer
  throttle_next: 0, // refused as too fast, so many
  throttle_code: 0x58,
  refuse_code: 0, // refused, all of them
  refuse_numbers: {}, // refused with a code, by number
  drop_after: -1, // so many are answered; those after that are taken, and the connection breaks
  drop_window: 1, // how many are taken unanswered before it breaks
  late_ms: 0, // answered so late
  answer_ids: 'dec', // dec | hex
  receipt_ids: 'dec',
  receipts: 'text', // none | text | parameters
  receipt_first: false, // before the answer to the hand-over
  receipt_state: 'DELIVRD',
  fail_part: 0, // this part does not arrive
};

let next = 70000 + Math.floor(Date.now() / 1000) % 100000 * 1000;
let dropped = 0;
const bound = new Set();
let waiting = []; // deliveries until somebody has taken them

function write(entry) {
  fs.writeSync(journalFile, JSON.stringify(entry) + '\n');
}

function id(number, how) {
  return how === 'hex' ? number.toString(16).toUpperCase() : String(number);
}

function header(pdu) {
  const octets = pdu.short_message;
  if (!(pdu.esm_class & 0x40)) return { total: 1, part: 1, reference: 0, text: octets };
  const length = octets[0];
  return { reference: octets[3], total: octets[4], part: octets[5], text: octets.subarray(length + 1) };
}

function decoded(coding, octets) {
  if (coding === 8) return Buffer.from(octets).swap16().toString('utf16le');
  return smpp.encodings.ASCII.decode(octets);
}

function take(pdu, number) {
  const part = header(pdu);
  write({
    id: number,
    to: '+' + pdu.destination_addr,
    from: pdu.source_addr,
    source: [pdu.source_addr_ton, pdu.source_addr_npi],
    destination: [pdu.dest_addr_ton, pdu.dest_addr_npi],
    esm_class: pdu.esm_class,
    coding: pdu.data_coding,
    octets: pdu.short_message.length,
    validity: pdu.validity_raw,
    registered: pdu.registered_delivery,
    reference: part.reference,
    part: part.part,
    total: part.total,
    text: decoded(pdu.data_coding, part.text),
  });
  if (behaviour.receipts === 'none') return;
  const state = part.part === behaviour.fail_part ? 'UNDELIV' : behaviour.receipt_state;
  const named = id(number, behaviour.receipt_ids);
  const delivery = {
    source_addr: pdu.destination_addr, source_addr_ton: 1, source_addr_npi: 1,
    destination_addr: pdu.source_addr, dest_addr_ton: pdu.source_addr_ton, dest_addr_npi: pdu.source_addr_npi,
    esm_class: 4,
  };
  if (behaviour.receipts === 'parameters') {
    delivery.receipted_message_id = named;
    delivery.message_state = state === 'DELIVRD' ? 2 : 5;
  } else {
    const error = state === 'DELIVRD' ? '000' : '034';
    delivery.short_message = Buffer.from(`id:${named} sub:001 dlvrd:001 submit date:2611200231 done date:2611200231 ` +
      `stat:${state} err:${error} text:Polisen`);
  }
  waiting.push(delivery);
}

// Brings what waits to whoever is bound, a few at a time; what is not answered with 0 is brought again.
function bring() {
  const sessions = [...bound];
  if (sessions.length === 0) return;
  for (const delivery of waiting.splice(0)) {
    const session = sessions[Math.floor(Math.random() * sessions.length)];
    let done = false;
    const again = () => { if (!done) { done = true; waiting.push(delivery); } };
    session.once('close', again);
    const sent = session.deliver_sm(delivery, (answer) => {
      session.removeListener('close', again);
      if (answer.command_status !== 0) again();
      done = true;
    });
    if (!sent) again();
  }
}
setInterval(bring, 25);

// The text and the validity as they came over the wire: the library reads both into something else.
const raw = smpp.PDU.prototype.fromBuffer;
smpp.PDU.prototype.fromBuffer = function (buffer) {
  raw.call(this, buffer);
  if (this.command !== 'submit_sm') return;
  let at = 16;
  const text = () => { const end = buffer.indexOf(0, at); const value = buffer.toString('latin1', at, end); at = end + 1; return value; };
  text(); at += 2; text(); at += 2; text(); at += 3; text();
  this.validity_raw = text();
  at += 4; // registered_delivery, replace_if_present, data_coding, sm_default_msg_id
  const length = buffer[at];
  this.short_message = buffer.subarray(at + 1, at + 1 + length);
};

function submit(session, pdu) {
  const answer = (options) => session.send(pdu.response(options));
  const number = '+' + pdu.destination_addr;
  const code = behaviour.refuse_code || behaviour.refuse_numbers[number] || 0;
  if (behaviour.throttle_next > 0) {
    behaviour.throttle_next -= 1;
    return answer({ command_status: behaviour.throttle_code });
  }
  if (code) return answer({ command_status: code });
  const own = next++;
  take(pdu, own);
  if (behaviour.drop_after === 0) {
    dropped += 1;
    if (dropped >= behaviour.drop_window) {
      dropped = 0;
      behaviour.drop_after = -1;
      for (const one of [...bound]) one.destroy();
    }
    return;
  }
  if (behaviour.drop_after > 0) behaviour.drop_after -= 1;
  const taken = () => answer({ message_id: id(own, behaviour.answer_ids) });
  if (behaviour.receipt_first) bring();
  const wait = Math.max(behaviour.late_ms, behaviour.latency_ms, behaviour.receipt_first ? 40 : 0);
  if (wait > 0) setTimeout(taken, wait); else taken();
}

const server = smpp.createServer({}, (session) => {
  session.setMaxListeners(0);
  session.on('error', () => session.destroy());
  session.on('bind_transceiver', (pdu) => {
    write({ bind: pdu.system_id, code: behaviour.bind_code });
    if (behaviour.bind_code) {
      session.send(pdu.response({ command_status: behaviour.bind_code }));
      return session.close();
    }
    session.send(pdu.response());
    bound.add(session);
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => { bound.delete(session); session.send(pdu.response()); session.close(); });
  session.on('submit_sm', (pdu) => submit(session, pdu));
  session.on('close', () => bound.delete(session));
});
server.listen(Number(port), '127.0.0.1', () => process.stdout.write(`listening ${port}\n`));

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const wanted = JSON.parse(line);
  Object.assign(behaviour, wanted.behaviour || {});
  if (wanted.deliver) waiting.push(...wanted.deliver.map((one) => ({
    source_addr_ton: 1, source_addr_npi: 1, dest_addr_ton: 1, dest_addr_npi: 1, ...one,
    short_message: Buffer.from(one.short_message, 'hex'),
  })));
  if (wanted.cut) for (const one of [...bound]) one.destroy();
  process.stdout.write('ok\n');
}).on('close', () => process.exit(0));
