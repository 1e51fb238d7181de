// A folder as one zip, stored and not packed: its content is never copied, the zip is a Blob that is
// made of headers and of the files themselves. The same files give the same bytes, so that an upload
// of it can go on where it was cut.

export interface Entry {
  path: string;
  file: File;
}

const LARGE = 0xffffffff; // from here on sizes and places are told in 64 bits (APPNOTE 4.5.3)
const MANY = 0xffff;
const VERSION = 45; // which knows 64 bits
const FLAGS = 1 << 11; // names are UTF-8
const DAY = (1 << 5) | 1; // 1980-01-01, the earliest there is: no clock in the bytes

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

async function computeCrc(file: Blob, tell: (bytes: number) => void): Promise<number> {
  let crc = 0xffffffff;
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return (crc ^ 0xffffffff) >>> 0;
    for (const byte of value) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
    tell(value.length);
  }
}

/** Little-endian fields, each with its size in bytes. */
function pack(...fields: [size: 2 | 4 | 8, value: number][]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else if (size === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

/** The zip of the files, in the order of their paths; `tell` is told what share has been read. */
export async function makeZip(entries: Entry[], tell: (share: number) => void): Promise<Blob> {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  const total = sorted.reduce((sum, { file }) => sum + file.size, 0) || 1;
  const content: BlobPart[] = [];
  const directory: BlobPart[] = [];
  let offset = 0;
  let directorySize = 0;
  let read = 0;
  for (const { path, file } of sorted) {
    const crc = await computeCrc(file, (bytes) => tell((read += bytes) / total));
    const name = new TextEncoder().encode(path);
    const isLarge = file.size >= LARGE || offset >= LARGE;
    const size = isLarge ? LARGE : file.size;
    const sizes: [4, number][] = [[4, crc], [4, size], [4, size]];
    const common: [2 | 4, number][] = [[2, VERSION], [2, FLAGS], [2, 0], [2, 0], [2, DAY], ...sizes];
    const more = isLarge ? pack([2, 1], [2, 16], [8, file.size], [8, file.size]) : pack();
    const header = pack([4, 0x04034b50], ...common, [2, name.length], [2, more.length]);
    const place = isLarge ? pack([2, 1], [2, 24], [8, file.size], [8, file.size], [8, offset]) : pack();
    const listed = pack(
      [4, 0x02014b50], [2, VERSION], ...common, [2, name.length], [2, place.length],
      [2, 0], [2, 0], [2, 0], [4, 0], [4, isLarge ? LARGE : offset],
    );
    content.push(header, name, more, file);
    directory.push(listed, name, place);
    offset += header.length + name.length + more.length + file.size;
    directorySize += listed.length + name.length + place.length;
  }
  return new Blob([...content, ...directory, ...writeEnd(sorted.length, directorySize, offset)]);
}

function writeEnd(count: number, size: number, offset: number): BlobPart[] {
  const end = pack(
    [4, 0x06054b50], [2, 0], [2, 0], [2, Math.min(count, MANY)], [2, Math.min(count, MANY)],
    [4, Math.min(size, LARGE)], [4, Math.min(offset, LARGE)], [2, 0],
  );
  if (count < MANY && size < LARGE && offset < LARGE) return [end];
  const large = pack(
    [4, 0x06064b50], [8, 44], [2, VERSION], [2, VERSION], [4, 0], [4, 0],
    [8, count], [8, count], [8, size], [8, offset],
  );
  return [large, pack([4, 0x07064b50], [4, 0], [8, offset + size], [4, 1]), end];
}
