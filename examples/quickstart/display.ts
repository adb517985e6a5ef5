import type { Progress } from './messages.ts';

/** One line of the live display. */
export interface Row {
  readonly name: string;
  readonly note: string;
  records: number;
  perSecond: number;
  lag: number;
  p99Ms: number | undefined;
  stalled: boolean;
}

const PLAIN_EVERY_MS = 1000;

/** Rows that are drawn again in place on a terminal, or one line each second elsewhere. */
export class Display {
  readonly #rows = new Map<string, Row>();
  readonly #live: boolean;
  readonly #total: number;
  #drawnLines = 0;
  #plainAt = 0;
  #rateAt = performance.now();
  #before = new Map<string, number>();

  constructor(total: number, live: boolean, rows: readonly (readonly [name: string, note: string])[]) {
    this.#total = total;
    this.#live = live;
    for (const [name, note] of rows) {
      this.#rows.set(name, {
        name,
        note,
        records: 0,
        perSecond: 0,
        lag: 0,
        p99Ms: undefined,
        stalled: false,
      });
    }
  }

  update({ name, records, p99Ms, stalled }: Progress): void {
    const row = this.#rows.get(name);
    if (row !== undefined) Object.assign(row, { records, p99Ms, stalled });
  }

  /** @param lag records that the node has not yet sent, by name of the subscription */
  draw(lag: ReadonlyMap<string, number>, nodeRssBytes: number): void {
    const now = performance.now();
    const seconds = (now - this.#rateAt) / 1000;
    const due = this.#live || now - this.#plainAt >= PLAIN_EVERY_MS;
    if (!due) return;
    for (const row of this.#rows.values()) {
      row.perSecond = (row.records - (this.#before.get(row.name) ?? 0)) / seconds;
      row.lag = lag.get(row.name) ?? 0;
      this.#before.set(row.name, row.records);
    }
    this.#rateAt = now;
    this.#plainAt = now;
    if (this.#live) this.#redraw(nodeRssBytes);
    else console.log([...this.#rows.values()].map(plain).join('  |  '));
  }

  #redraw(nodeRssBytes: number): void {
    const lines = [
      '  who           records  progress                records/s      lag   p99 ms',
      ...[...this.#rows.values()].map((row) => this.#line(row)),
      `  node memory ${(nodeRssBytes / 1024 ** 2).toFixed(0)} MiB`,
    ];
    const up = this.#drawnLines === 0 ? '' : `\x1b[${this.#drawnLines}A`;
    process.stdout.write(`${up}${lines.map((line) => `\x1b[2K${line}`).join('\n')}\n`);
    this.#drawnLines = lines.length;
  }

  #line(row: Row): string {
    const filled = Math.round((row.records / this.#total) * 20);
    const bar = '█'.repeat(filled) + '░'.repeat(20 - filled);
    const state = row.stalled ? '\x1b[33mstalled: does not read\x1b[0m' : row.note;
    return `  ${row.name.padEnd(10)} ${number(row.records, 10)}  ${bar}  ${number(row.perSecond, 11)} ${number(row.lag, 8)} ${latency(row).padStart(8)}  ${state}`;
  }
}

function plain(row: Row): string {
  const state = row.stalled ? ' STALLED' : '';
  return `${row.name} ${number(row.records)} (${number(row.perSecond)}/s, lag ${number(row.lag)}, p99 ${latency(row)} ms)${state}`;
}

function latency(row: Row): string {
  return row.p99Ms === undefined ? '–' : row.p99Ms.toFixed(1);
}

function number(value: number, width = 0): string {
  return Math.round(value).toLocaleString('en-US').padStart(width);
}
