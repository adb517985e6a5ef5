/** A named series: one value per position of the x axis; NaN is left out. */
export interface ChartLine {
  readonly label: string;
  readonly color: string;
  readonly values: readonly number[];
  /** Drawn thin and dashed, without an entry in the legend. */
  readonly faint?: boolean;
}

/** One diagram of a {@link lineCharts} row. */
export interface ChartPanel {
  readonly title: string;
  readonly lines: readonly ChartLine[];
}

/** What all diagrams of a row share. */
export interface ChartFrame {
  readonly title: string;
  /** Below the title. */
  readonly note: string;
  readonly xLabel: string;
  readonly xTicks: readonly string[];
  readonly yLabel: string;
}

const PANEL_WIDTH = 270;
const PANEL_HEIGHT = 240;
const LEFT = 64;
const TOP = 84;
const GAP = 28;
const BOTTOM = 86;
const LEGEND_WIDTH = 146;
const NOTE_WIDTH = 640;
const FONT = 'font-family="system-ui, sans-serif" fill="#24292f"';

/** Diagrams side by side with one logarithmic y axis from 0.1 up, as an SVG document on a white ground. */
export function lineCharts(frame: ChartFrame, panels: readonly ChartPanel[]): string {
  const most = Math.max(
    1,
    ...panels.flatMap(({ lines }) => lines.flatMap(({ values }) => values.filter(Number.isFinite))),
  );
  const decades = Math.ceil(Math.log10(most)) + 1;
  const entries = (panels[0]?.lines ?? []).filter(({ faint }) => faint !== true);
  const width =
    LEFT + Math.max(panels.length * (PANEL_WIDTH + GAP), entries.length * LEGEND_WIDTH, NOTE_WIDTH);
  const height = TOP + PANEL_HEIGHT + BOTTOM;
  const y = (value: number): number =>
    TOP + PANEL_HEIGHT * (1 - (Math.log10(Math.max(value, 0.1)) + 1) / decades);
  const body = [
    text(LEFT, 26, frame.title, 'font-size="17" font-weight="600"'),
    text(LEFT, 46, frame.note, 'font-size="12" opacity="0.75"'),
    `<g transform="translate(16 ${TOP + PANEL_HEIGHT / 2}) rotate(-90)">${text(0, 0, frame.yLabel, 'font-size="12" text-anchor="middle"')}</g>`,
    ...panels.map((panel, index) => panelOf(frame, panel, LEFT + index * (PANEL_WIDTH + GAP), y, decades)),
    ...legend(entries, height - 18),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ${FONT}>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function panelOf(
  frame: ChartFrame,
  panel: ChartPanel,
  left: number,
  y: (value: number) => number,
  decades: number,
): string {
  const last = Math.max(1, frame.xTicks.length - 1);
  const x = (index: number): number => round(left + 14 + (index * (PANEL_WIDTH - 28)) / last);
  const bottom = TOP + PANEL_HEIGHT;
  const parts = [
    `<rect x="${left}" y="${TOP}" width="${PANEL_WIDTH}" height="${PANEL_HEIGHT}" fill="none" stroke="#d0d7de"/>`,
    text(left + PANEL_WIDTH / 2, TOP - 8, panel.title, 'font-size="13" text-anchor="middle"'),
    text(left + PANEL_WIDTH / 2, bottom + 38, frame.xLabel, 'font-size="12" text-anchor="middle"'),
  ];
  for (let decade = 0; decade <= decades; decade += 1) {
    const value = 10 ** (decade - 1);
    const at = round(y(value));
    parts.push(
      `<line x1="${left}" x2="${left + PANEL_WIDTH}" y1="${at}" y2="${at}" stroke="#d0d7de" stroke-width="0.6"/>`,
    );
    if (left === LEFT)
      parts.push(text(left - 6, at + 4, value.toString(), 'font-size="11" text-anchor="end"'));
  }
  frame.xTicks.forEach((tick, index) =>
    parts.push(text(x(index), bottom + 18, tick, 'font-size="11" text-anchor="middle"')),
  );
  for (const line of panel.lines) parts.push(...drawing(line, x, y));
  return parts.join('\n');
}

function drawing(line: ChartLine, x: (index: number) => number, y: (value: number) => number): string[] {
  const points = line.values.flatMap((value, index) =>
    Number.isFinite(value) ? [{ x: x(index), y: round(y(value)) }] : [],
  );
  const path = points.map((point) => `${point.x},${point.y}`).join(' ');
  const style =
    line.faint === true
      ? 'stroke-width="1" stroke-dasharray="4 3" opacity="0.6"'
      : 'stroke-width="2" stroke-linejoin="round"';
  const dots =
    line.faint === true
      ? []
      : points.map((point) => `<circle cx="${point.x}" cy="${point.y}" r="3" fill="${line.color}"/>`);
  return [`<polyline points="${path}" fill="none" stroke="${line.color}" ${style}/>`, ...dots];
}

function legend(lines: readonly ChartLine[], at: number): string[] {
  return lines.flatMap(({ label, color }, index) => {
    const left = LEFT + index * LEGEND_WIDTH;
    return [
      `<line x1="${left}" x2="${left + 20}" y1="${at - 4}" y2="${at - 4}" stroke="${color}" stroke-width="3"/>`,
      text(left + 26, at, label, 'font-size="12"'),
    ];
  });
}

function text(x: number, y: number, words: string, style: string): string {
  const safe = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${round(x)}" y="${round(y)}" ${style}>${safe}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
