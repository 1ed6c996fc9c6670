
// The zip of a bundle, which has one form only: see docs/format/bundle.md.

const zipComment = "custody bundle v1 sha256:";
const zipLimit = { size: 256 * 2 ** 20, unpacked: 768 * 2 ** 20, files: 128 };

const crcTable = Int32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = -1;
  for (const b of bytes) crc = (crc >>> 8) ^ crcTable[(crc ^ b) & 255];
  return ~crc >>> 0;
}

// inflate returns the bytes that could be unpacked, at most limit, and why not all.
async function inflate(packed, limit) {
  const parts = [];
  let size = 0;
  try {
    const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { bytes: join(...parts) };
      size += value.length;
      if (size > limit) {
        await reader.cancel();
        return { bytes: join(...parts), problem: "it is larger than the zip says" };
      }
      parts.push(value);
    }
  } catch {
    return { bytes: join(...parts), problem: `it cannot be unpacked beyond byte ${size}` };
  }
}

// unzip returns the files of a bundle by name, in order. It throws when no more can
// be read, and reports what is wrong with what can.
async function unzip(zip, report) {
  if (zip.length > zipLimit.size) throw new Error(`it has ${zip.length} bytes, more than a bundle can have`);
  const end = zip.length - zipComment.length - 64;
  if (end < 22) throw new Error("it is too short for a bundle; it may be cut off");
  const view = new DataView(zip.buffer, zip.byteOffset, zip.length);
  const u16 = (at) => view.getUint16(at, true);
  const u32 = (at) => view.getUint32(at, true);
  const ascii = (at, n) => String.fromCharCode(...zip.subarray(at, at + n));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", zip.subarray(0, end)));
  if (ascii(end, zip.length - end) !== zipComment + hex(digest)) {
    report("", "the zip's comment does not have the SHA-256 of the bytes before it: the file was altered or damaged");
  }
  const record = end - 22;
  const [count, size, start] = [u16(record + 8), u32(record + 12), u32(record + 16)];
  if (ascii(record, 8) !== "PK\x05\x06\0\0\0\0" || u16(record + 10) !== count || start + size !== record || u16(record + 20) !== zip.length - end) {
    throw new Error("it does not end as a bundle does: the record at the end of the zip is missing or has other values");
  }
  if (count > zipLimit.files) throw new Error(`it has ${count} files, more than ${zipLimit.files}`);
  const files = new Map();
  let [at, header, room] = [0, start, zipLimit.unpacked];
  // What both headers have, from the version on: deflate, no flags, 1 January 1980.
  const common = "\x14\0\0\0\x08\0\0\0\x21\0";
  for (let i = 0; i < count; i++) {
    if (header + 46 > record || header + 46 + u16(header + 28) > record) throw new Error("the zip's directory is cut short");
    const length = u16(header + 28);
    const name = ascii(header + 46, length);
    if (ascii(header, 6) !== "PK\x01\x02\x14\0" || ascii(header + 6, 10) !== common || ascii(header + 30, 12) !== "\0".repeat(12)) {
      throw new Error(`the zip's directory has something else about ${name} than a bundle has`);
    }
    const body = at + 30 + length;
    const [crc, packed, unpacked] = [u32(header + 16), u32(header + 20), u32(header + 24)];
    if (u32(header + 42) !== at || body + packed > start) throw new Error(`${name} does not stand right behind the file before it`);
    const local = ascii(at, 4) + ascii(at + 4, 26) + ascii(at + 30, length);
    if (local !== "PK\x03\x04" + ascii(header + 6, 26) + name) report(name, "its two headers in the zip differ");
    room -= unpacked;
    if (room < 0) throw new Error(`its files are too large when they are unpacked, ${name} among them`);
    const { bytes, problem } = await inflate(zip.subarray(body, body + packed), unpacked);
    if (problem || bytes.length !== unpacked || crc32(bytes) !== crc) report(name, problem || "its length or its CRC-32 is wrong");
    if (files.has(name)) report(name, "the zip has two files of this name");
    files.set(name, bytes);
    at = body + packed;
    header += 46 + length;
  }
  if (at !== start || header !== record) throw new Error("there are bytes in the zip that belong to no file");
  return files;
}
