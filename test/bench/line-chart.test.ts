import { describe, expect, it } from 'vitest';
import type { ChartLine } from '../../bench/support/line-chart.ts';
import { lineCharts } from '../../bench/support/line-chart.ts';

const FRAME = { title: 'a < b & c', note: '', xLabel: 'x', xTicks: ['0', '1', '2'], yLabel: 'ms' };

function chart(...lines: readonly Partial<ChartLine>[]): string {
  const whole = lines.map((line) => ({ label: 'one', color: '#000000', values: [], ...line }));
  return lineCharts(FRAME, [{ title: 'panel', lines: whole }]);
}

/** Points of every drawn line. */
function pointsOf(svg: string): number[][][] {
  return [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) =>
    points!.split(' ').map((point) => point.split(',').map(Number)),
  );
}

describe('line charts', () => {
  it('draw ten times as much equally far up, wherever that is', () => {
    const [[low, middle, high]] = pointsOf(chart({ values: [1, 10, 100] })) as [number[][]];
    const step = low![1]! - middle![1]!;
    expect(step).toBeGreaterThan(20);
    expect(middle![1]! - high![1]!).toBeCloseTo(step, 0);
  });

  it('leave out what was not measured', () => {
    const svg = chart({ values: [1, NaN, 3] });
    expect([pointsOf(svg)[0]!.length, svg.includes('NaN')]).toEqual([2, false]);
  });

  it('name in the legend what is not faint, once', () => {
    const svg = chart({ label: 'bold', values: [1] }, { label: 'thin', values: [1], faint: true });
    expect([svg.match(/>bold</g)?.length, svg.includes('thin')]).toEqual([1, false]);
  });

  it('escape what is written', () => {
    expect(chart({ values: [1] })).toContain('a &lt; b &amp; c');
  });
});
