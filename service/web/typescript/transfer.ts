// A file to the service in parts (POST /v1/uploads): several at once, each with its SHA-256 and as
// often as it takes. The service knows which parts it has, we remember the upload's id: so one that
// was cut goes on, after the page was left too.

export interface Content {
  name: string;
  modified: number;
  blob: Blob;
}

export interface Progress {
  sent: number;
  total: number;
  state: "sending" | "waiting" | "paused" | "verifying";
}

interface UploadView {
  id: string;
  state: "open" | "complete";
  part_bytes: number;
  parts_total: number;
  parts: { number: number; size_bytes: number; sha256: string }[];
}

const PARALLEL = 3;
const PATIENCE = 30; // tries in a row without a part that arrives
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30_000;
const STALLED = 60_000; // without a further byte
const MEMORY = "autodl-upload ";

/** What the service refuses; `message` is for people. */
export class Refusal extends Error {
  constructor(message: string, readonly code: string, readonly status: number) {
    super(message);
  }
}

/** Whether a browser can do this; it cannot compute a SHA-256 where the address is not a secure one. */
export const isPossible = () => Boolean(globalThis.crypto?.subtle && globalThis.fetch);

function nameMemory({ name, modified, blob }: Content): string {
  return `${MEMORY}${JSON.stringify([name, blob.size, modified])}`;
}

/** The uploads that were cut, as far as the service still has them: the file's name and its share. */
export async function findInterrupted(): Promise<{ name: string; share: number }[]> {
  const found = [];
  for (const key of Object.keys(localStorage).filter((k) => k.startsWith(MEMORY))) {
    const view = await findUpload(localStorage.getItem(key) ?? "").catch(() => undefined);
    if (view?.state === "open") {
      const [name] = JSON.parse(key.slice(MEMORY.length)) as [string];
      found.push({ name, share: sum(view) / (view.part_bytes * view.parts_total) });
    } else if (view === null) {
      localStorage.removeItem(key);
    }
  }
  return found;
}

export class Transfer {
  private view!: UploadView;
  private missing: number[] = [];
  private arrived = 0;
  private onTheWay = new Map<number, number>();
  private requests = new Set<XMLHttpRequest>();
  private failures = 0;
  private paused: Promise<void> | null = null;
  private unpause: () => void = () => {};
  private wake: () => void = () => {};

  constructor(private content: Content, private tell: (progress: Progress) => void) {
    addEventListener("online", () => this.wake());
  }

  /** Send what is missing; the upload's id. Raises `Refusal`, or what reading the file raises. */
  async run(): Promise<string> {
    await this.begin();
    while (this.view.state !== "complete") {
      await Promise.all(Array.from({ length: PARALLEL }, () => this.sendParts()));
      this.report("verifying");
      try {
        this.view = await this.keepAsking("POST", `/v1/uploads/${this.view.id}/complete`);
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "upload-incomplete") throw error;
        this.take(await this.keepAsking("GET", `/v1/uploads/${this.view.id}`));
      }
    }
    localStorage.removeItem(nameMemory(this.content));
    return this.view.id;
  }

  pause(): void {
    this.paused ??= new Promise((go) => { this.unpause = go; });
    for (const request of this.requests) request.abort();
    this.report("paused");
  }

  resume(): void {
    this.paused = null;
    this.failures = 0;
    this.unpause();
    this.wake();
    this.report("sending");
  }

  private async begin(): Promise<void> {
    const memory = nameMemory(this.content);
    const id = localStorage.getItem(memory);
    const known = id && (await this.patiently(() => findUpload(id)));
    if (known && (await this.isSame(known))) {
      this.take(known);
      return;
    }
    const { name, blob } = this.content;
    const key = { "Idempotency-Key": crypto.randomUUID() };
    this.take(await this.keepAsking("POST", "/v1/uploads", { name, size_bytes: blob.size }, key));
    localStorage.setItem(memory, this.view.id);
  }

  /** Whether what has arrived is of this very file: one part tells, and no part that there is none. */
  private async isSame(view: UploadView): Promise<boolean> {
    const part = view.parts.find((p) => p.sha256);
    if (view.state === "complete" || !part) return true;
    return (await digest(await this.read(view, part.number))) === part.sha256;
  }

  private take(view: UploadView): void {
    this.view = view;
    const there = new Set(view.parts.map((part) => part.number));
    this.missing = [];
    for (let n = 1; n <= view.parts_total; n++) if (!there.has(n)) this.missing.push(n);
    this.arrived = sum(view);
    this.report("sending");
  }

  private async sendParts(): Promise<void> {
    for (;;) {
      await this.paused;
      const number = this.missing.shift();
      if (number === undefined) return;
      try {
        await this.sendPart(number);
        this.failures = 0;
      } catch (error) {
        this.missing.unshift(number);
        if (!this.paused) await this.waitAfter(error);
      } finally {
        this.onTheWay.delete(number);
      }
    }
  }

  private async sendPart(number: number): Promise<void> {
    const bytes = await this.read(this.view, number);
    const wanted = { parts: [{ number, sha256: await digest(bytes) }] };
    const { parts } = await ask<{ parts: { url: string; headers: Record<string, string> }[] }>(
      "POST", `/v1/uploads/${this.view.id}/parts`, wanted,
    );
    const { url, headers } = parts[0]!;
    await this.put(number, url, headers, bytes);
    this.arrived += bytes.byteLength;
  }

  private async read({ part_bytes }: UploadView, number: number): Promise<ArrayBuffer> {
    const start = (number - 1) * part_bytes;
    return this.content.blob.slice(start, start + part_bytes).arrayBuffer();
  }

  /** A request that tells how far it is, as `fetch` does not. */
  private put(
    number: number, url: string, headers: Record<string, string>, bytes: ArrayBuffer,
  ): Promise<void> {
    return new Promise((done, fail) => {
      const request = new XMLHttpRequest();
      const cut = () => fail(new TypeError("The connection was cut."));
      let clock = 0;
      const live = () => {
        clearTimeout(clock);
        clock = setTimeout(() => request.abort(), STALLED);
      };
      request.open("PUT", url);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => {
        live();
        this.onTheWay.set(number, loaded);
        this.report("sending");
      };
      request.onload = () => {
        if (request.status < 300) done();
        else fail(readProblem(request.responseText, request.status));
      };
      request.onerror = request.onabort = cut;
      request.onloadend = () => {
        clearTimeout(clock);
        this.requests.delete(request);
      };
      this.requests.add(request);
      live();
      request.send(bytes);
    });
  }

  private async keepAsking<T>(
    method: string, path: string, body?: unknown, headers: Record<string, string> = {},
  ): Promise<T> {
    return this.patiently(() => ask<T>(method, path, body, headers));
  }

  private async patiently<T>(act: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.paused;
      try {
        return await act();
      } catch (error) {
        await this.waitAfter(error);
      }
    }
  }

  /** A pause that grows with the failures in a row; what another try cannot mend is raised. */
  private async waitAfter(error: unknown): Promise<void> {
    if (error instanceof Refusal ? !passes(error) : !(error instanceof TypeError)) throw error;
    if (++this.failures > PATIENCE) throw error;
    this.report("waiting");
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** ((this.failures - 1) / PARALLEL));
    await new Promise<void>((go) => {
      this.wake = go;
      setTimeout(go, pause * (0.5 + Math.random() / 2));
    });
  }

  private report(state: Progress["state"]): void {
    const moving = [...this.onTheWay.values()].reduce((a, b) => a + b, 0);
    const total = this.content.blob.size;
    const sent = Math.min(total, this.arrived + moving);
    this.tell({ sent, total, state: this.paused ? "paused" : state });
  }
}

const sum = (view: UploadView) => view.parts.reduce((bytes, part) => bytes + part.size_bytes, 0);

/** Of a store's own answers, too: it says 403 of an address whose time is over. */
const passes = ({ status, code }: Refusal) =>
  [408, 409, 425, 429].includes(status) || status >= 500 ||
  (status === 403 && (code === "part-url-expired" || code === "")) || code === "digest-mismatch";

async function findUpload(id: string): Promise<UploadView | null> {
  try {
    return await ask<UploadView>("GET", `/v1/uploads/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error instanceof Refusal && [404, 410].includes(error.status)) return null;
    throw error;
  }
}

async function ask<T>(
  method: string, path: string, body?: unknown, headers: Record<string, string> = {},
): Promise<T> {
  const answer = await fetch(path, {
    method,
    headers: { Accept: "application/json", "Content-Type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw readProblem(text, answer.status);
  return JSON.parse(text) as T;
}

function readProblem(text: string, status: number): Refusal {
  try {
    const { detail, hint, code } = JSON.parse(text) as Record<string, string>;
    return new Refusal([detail, hint].filter(Boolean).join(" "), code ?? "", status);
  } catch {
    return new Refusal(`${status}`, "", status); // the store's answers are XML
  }
}

async function digest(bytes: ArrayBuffer): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
