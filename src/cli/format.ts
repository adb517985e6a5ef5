import Table from 'cli-table3';

/** `1,234,567`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Bytes with a binary unit and at most one decimal: `512 B`, `1.5 KiB`, `64 MiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = value;
  let unit = 0;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${trim(scaled)} ${units[unit]!}`;
}

/** Milliseconds for people, two units at most: `0.4 ms`, `12 s`, `3 min 5 s`, `2 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${trim(ms)} ms`;
  if (ms < 60_000) return `${trim(ms / 1000)} s`;
  const steps: readonly (readonly [string, number])[] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ];
  const first = steps.findIndex(([, size]) => ms >= size);
  const [unit, size] = steps[first]!;
  const rest = steps[first + 1];
  const more = rest === undefined ? 0 : Math.floor((ms % size) / rest[1]);
  return `${Math.floor(ms / size)} ${unit}${more > 0 ? ` ${more} ${rest![0]}` : ''}`;
}

/** A time, to the second, in UTC. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** What `text` shows of a row's cell: numbers stand to the right. */
export type Cell = string | number;

/** Rows under headings, columns two spaces apart, without lines; one line per row. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const numeric = headings.map(
    (_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'),
  );
  const drawn = new Table({
    head: [...headings],
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 2, head: [], border: [], compact: true },
    colAligns: numeric.map((right) => (right ? 'right' : 'left')),
  });
  for (const row of rows) drawn.push(row.map((cell) => (typeof cell === 'number' ? count(cell) : cell)));
  return trimLines(drawn.toString());
}

/** Names and values below each other. */
export function facts(pairs: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs
    .map(([name, value]) => `${name.padEnd(width)}  ${typeof value === 'number' ? count(value) : value}`)
    .join('\n');
}

const NO_LINES = Object.fromEntries(
  ['top', 'bottom', 'left', 'right'].flatMap((side) =>
    [side, `${side}-mid`, `${side}-left`, `${side}-right`].map((name) => [name, '']),
  ),
) as Record<string, string>;
Object.assign(NO_LINES, { mid: '', 'mid-mid': '', middle: '' });

function trimLines(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function trim(value: number): string {
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}
