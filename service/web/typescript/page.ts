// The page of a new submission, made better: files are sent in parts, with progress, pause and going
// on after a cut; folders too, and by dropping. Then the form is submitted as it always is, with the
// upload's id in place of the file. Without this script it sends the file itself.

import { asContent, fromDrop, fromFolder, nameOf, tidy } from "./choose.js";
import { findInterrupted, isPossible, type Progress, Refusal, Transfer } from "./transfer.js";
import type { Entry } from "./zip.js";

const SPEED_SECONDS = 8;

function enhance(form: HTMLFormElement): void {
  const find = <T extends HTMLElement>(selector: string) => form.querySelector<T>(selector)!;
  const file = find<HTMLInputElement>("input[name=file]");
  const folder = find<HTMLInputElement>("[data-folder-input]");
  const uploadId = find<HTMLInputElement>("input[name=upload_id]");
  const drop = find("[data-drop]");
  const chosen = find("[data-chosen-status]");
  const status = find("[data-upload-status]");
  const problem = find("[data-upload-problem]");
  const bar = find<HTMLProgressElement>("progress");
  const pause = find<HTMLButtonElement>("[data-pause]");
  const send = find<HTMLButtonElement>("button:not([type])");
  const pauseWords = pause.textContent;
  const tellSpeed = measureSpeed();
  let entries: Entry[] = [];
  let transfer: Transfer | null = null;

  function take(found: Entry[]): void {
    entries = tidy(found);
    const size = formatBytes(entries.reduce((sum, entry) => sum + entry.file.size, 0));
    const [first] = entries;
    const alone = entries.length === 1 && first ? first.file.name : null;
    const count = formatNumber(entries.length);
    chosen.textContent = !first ? "" : alone
      ? say("chosen", { name: alone, size })
      : say("folder", { name: nameOf(entries), count, size });
    file.required = entries.length === 0;
  }

  function say(words: string, values: Record<string, string>): string {
    return (form.dataset[words] ?? "").replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "");
  }

  function show({ sent, total, state }: Progress): void {
    const { speed, left } = tellSpeed(sent, total);
    const percent = formatNumber(Math.floor((100 * sent) / total));
    bar.value = sent / total;
    const text = say(state, { percent, size: formatBytes(total), speed: formatBytes(speed), left });
    if (status.textContent !== text) status.textContent = text;
    pause.hidden = state === "verifying";
  }

  async function upload(): Promise<void> {
    working(true);
    const content = await asContent(entries, (share) => {
      bar.value = share;
      status.textContent = say("packing", { percent: formatNumber(Math.floor(100 * share)) });
    });
    pause.hidden = false;
    transfer = new Transfer(content, show);
    uploadId.value = await transfer.run();
    file.disabled = true;
    form.submit();
  }

  function working(is: boolean): void {
    bar.hidden = !is;
    send.disabled = is;
    problem.hidden = true;
    if (is) return;
    pause.hidden = true;
    status.textContent = "";
  }

  function complain(text: string): void {
    problem.textContent = text;
    problem.hidden = false;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (entries.length === 0) return complain(say("choose", {}));
    upload().catch((error: unknown) => {
      working(false);
      complain(error instanceof Refusal ? error.message : say("unreadable", {}));
    });
  });
  pause.addEventListener("click", () => {
    const isPaused = pause.textContent !== pauseWords;
    pause.textContent = isPaused ? pauseWords : (pause.dataset["resumeWords"] ?? "");
    if (isPaused) transfer?.resume();
    else transfer?.pause();
  });
  file.addEventListener("change", () => take(fromFolder(file.files!)));
  folder.addEventListener("change", () => take(fromFolder(folder.files!)));
  find("[data-pick-folder]").addEventListener("click", () => folder.click());
  for (const kind of ["dragover", "dragleave", "drop"] as const) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer) void fromDrop(event.dataTransfer).then(take);
    });
  }
  find("[data-enhanced]").hidden = false;
  addEventListener("pageshow", () => { // also when one comes back to it
    uploadId.value = "";
    file.disabled = false;
    working(false);
    if (file.files?.length) take(fromFolder(file.files));
  });
  void findInterrupted().then(([last]) => {
    if (!last || entries.length > 0) return;
    const percent = formatNumber(Math.floor(100 * last.share));
    chosen.textContent = say("interrupted", { name: last.name, percent });
  });
}

const language = document.documentElement.lang;
const formatNumber = (value: number) => new Intl.NumberFormat(language).format(value);

function formatBytes(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return new Intl.NumberFormat(language, {
    style: "unit", unit: units[power]!, maximumSignificantDigits: 3,
  }).format(bytes / 1000 ** power);
}

function formatSeconds(seconds: number): string {
  const [value, unit] = seconds < 90 ? [seconds, "second"]
    : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return new Intl.NumberFormat(language, {
    style: "unit", unit, maximumFractionDigits: unit === "hour" ? 1 : 0,
  }).format(value);
}

/** Bytes a second and the time that is left, by the last few seconds. */
function measureSpeed(): (sent: number, total: number) => { speed: number; left: string } {
  let samples: [time: number, sent: number][] = [];
  return (sent, total) => {
    const now = performance.now() / 1000;
    samples = [...samples.filter(([time, before]) => now - time < SPEED_SECONDS && before <= sent), [now, sent]];
    const [time, before] = samples[0]!;
    const speed = now > time ? (sent - before) / (now - time) : 0;
    return { speed, left: speed > 0 ? formatSeconds((total - sent) / speed) : "–" };
  };
}

const form = document.querySelector<HTMLFormElement>("form[data-upload]");
if (form && isPossible()) enhance(form);
