// Reads tapes with libraries that have nothing to do with this project, every
// byte of them, and prints each record on a line, numbers in full and strings and
// binaries in hexadecimal: [kind, number, time, source, payload]. The arguments
// are pairs of a file and how many of its bytes to read. A test of package capture/tape
// compares what it prints.
import { readFileSync } from "node:fs";
import { decode, decodeMulti } from "@msgpack/msgpack";
import { decompress } from "fzstd";

const raw = { useBigInt64: true, rawStrings: true };
const cooked = { useBigInt64: true };
const hex = (bytes) => Buffer.from(bytes).toString("hex");

// The same bytes are decoded twice: raw has the strings' bytes, cooked tells
// strings from binaries.
function render(value, as) {
  if (Array.isArray(value)) return "[" + value.map((v, i) => render(v, as[i])).join(", ") + "]";
  if (value instanceof Uint8Array) return typeof as === "string" ? `"${hex(value)}"` : `'${hex(value)}'`;
  if (value === null || typeof value !== "object") return String(value);
  const keys = Object.keys(value);
  return "{" + keys.map((k) => `"${hex(Buffer.from(k))}": ` + render(value[k], as[k])).join(", ") + "}";
}

function frame([sync, kind, coding, , , length, , , payload], bytes) {
  if (Buffer.from(sync).toString() !== "topotape1") throw new Error("sync is " + sync);
  if (kind >= 64) return;
  const plain = Number(coding) === 1 ? decompress(payload, new Uint8Array(Number(length))) : payload;
  if (plain.length !== Number(length)) throw new Error(`${plain.length} bytes where ${length} were announced`);
  if (Number(kind) !== 2) return void decode(plain, raw); // all of it, or it throws
  const as = [...decodeMulti(plain, cooked)];
  let i = 0;
  for (const record of decodeMulti(plain, raw)) console.log(render(record.slice(0, 5), as[i++]));
}

const args = process.argv.slice(2);
for (let i = 0; i < args.length; i += 2) {
  console.log("# " + args[i]);
  for (const f of decodeMulti(readFileSync(args[i]).subarray(0, Number(args[i + 1])), raw)) frame(f);
}
