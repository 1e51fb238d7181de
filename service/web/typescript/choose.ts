// What the user gives us: a file, several, or a folder, by a dialog or dropped on the page.

import { type Entry, makeZip } from "./zip.js";
import type { Content } from "./transfer.js";

const LEFTOVERS = /(^|\/)(__MACOSX\/|\.DS_Store$|Thumbs\.db$|desktop\.ini$|\._)/;

/** Files that were chosen as a folder have their paths from it on. */
export function fromFolder(files: FileList): Entry[] {
  return Array.from(files, (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Everything that was dropped; to be called before the event is over, for it is gone then. */
export function fromDrop(data: DataTransfer): Promise<Entry[]> {
  const roots = Array.from(data.items, (item) => item.webkitGetAsEntry()).filter((e) => e !== null);
  return Promise.all(roots.map((root) => walk(root, ""))).then((found) => found.flat());
}

async function walk(entry: FileSystemEntry, parent: string): Promise<Entry[]> {
  const path = parent + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    return [{ path, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Entry[] = [];
  for (;;) {
    // it gives at most a hundred at a time
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (some.length === 0) return found;
    for (const child of some) found.push(...(await walk(child, `${path}/`)));
  }
}

/** What is worth sending of it. */
export function tidy(entries: Entry[]): Entry[] {
  return entries.filter(({ path }) => !LEFTOVERS.test(path));
}

/** A single file as it is, of several a zip. */
export async function asContent(
  entries: Entry[], tell: (share: number) => void,
): Promise<Content> {
  const [first] = entries;
  if (entries.length === 1 && first && !first.path.includes("/")) {
    return { name: first.file.name, modified: first.file.lastModified, blob: first.file };
  }
  const modified = Math.max(...entries.map(({ file }) => file.lastModified));
  return { name: `${nameOf(entries)}.zip`, modified, blob: await makeZip(entries, tell) };
}

/** The folder's name, where all lie in one. */
export function nameOf(entries: Entry[]): string {
  const tops = new Set(entries.map(({ path }) => (path.includes("/") ? path.split("/")[0] : "")));
  const [top] = tops;
  return tops.size === 1 && top ? top : "dataset";
}
