import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import type { LinkSample } from '../load/lossy-link.ts';
import { PATIENCE_MS } from '../load/lossy-link.ts';
import type { ChartLine } from '../support/line-chart.ts';
import { lineCharts } from '../support/line-chart.ts';
import { writeResults } from '../support/results.ts';
import { median, short } from '../support/statistics.ts';
import type { Contender, LossCell, LossPlan, NamedScenario } from './loss-plan.ts';
import { takesPart } from './loss-plan.ts';

const FOLDER = new URL('../results/', import.meta.url).pathname;

/**
 * Writes `<name>-<date>-<commit>.json` with every sample, `<name>.md` with a table and `<name>-<scenario>.svg`.
 * @returns lines of the tables
 */
export function reportLoss(plan: LossPlan, cells: readonly LossCell[]): string[] {
  const name = plan.isWhole ? 'loss' : 'loss-part';
  const congestionControl = execFileSync('sysctl', ['-n', 'net.ipv4.tcp_congestion_control'], {
    encoding: 'utf8',
  }).trim();
  const json = writeResults(name, { seconds: plan.seconds, runs: plan.runs, congestionControl, cells });
  const lines = plan.scenarios.flatMap((scenario) => table(plan, cells, scenario));
  const head = [
    '# Delivery across a link that loses packets',
    '',
    `Made by \`npm run bench:versus -- --only loss\`; all samples in [${json.split('/').at(-1)!}](${json.split('/').at(-1)!}).`,
    '',
    `200 records of 128 B a second in all, for ${plan.seconds} s; ${plan.runs === 1 ? 'one run' : `medians of ${plan.runs} runs`}. Broker and publisher are at one end,`,
    'the subscribers at the other; each direction loses so many packets at random. All with TLS and the TypeScript client of each system;',
    `TCP with ${congestionControl}. One way, **p50 / p99 / max** in milliseconds, of the records that came; \`−n\` of so many had not come`,
    `${PATIENCE_MS / 1e3} s after the last one was published: lost, or later than that.`,
    '',
  ];
  writeFileSync(`${FOLDER}${name}.md`, [...head, ...lines].join('\n'));
  for (const scenario of plan.scenarios) {
    writeFileSync(`${FOLDER}${name}-${scenario.name}.svg`, chart(plan, cells, scenario));
  }
  console.log(`${FOLDER}${name}.md`);
  return lines;
}

function table(plan: LossPlan, cells: readonly LossCell[], scenario: NamedScenario): string[] {
  const lines = [`## ${scenario.title}`, ''];
  for (const rttMs of plan.rttsMs) {
    lines.push(
      `| ${rttMs === 0 ? 'no delay' : `${rttMs} ms round trip`} | ${plan.lossPercents.map((p) => `${p} % loss`).join(' | ')} |`,
      `| --- |${' --- |'.repeat(plan.lossPercents.length)}`,
    );
    for (const contender of plan.contenders.filter((one) => takesPart(one, scenario))) {
      const texts = plan.lossPercents.map((lossPercent) =>
        cellText(samplesOf(cells, scenario, contender, rttMs, lossPercent)),
      );
      lines.push(`| ${contender.label} | ${texts.join(' | ')} |`);
    }
    lines.push('');
  }
  return lines;
}

function cellText(samples: readonly LinkSample[]): string {
  const of = (field: keyof LinkSample): number => median(samples.map((sample) => sample[field]));
  const lost = of('lost') > 0 ? ` (−${short(of('lost'))} of ${short(of('lost') + of('delivered'))})` : '';
  return `${short(of('p50Ms'))} / ${short(of('p99Ms'))} / ${short(of('maxMs'))}${lost}`;
}

function chart(plan: LossPlan, cells: readonly LossCell[], scenario: NamedScenario): string {
  const panels = plan.rttsMs.map((rttMs) => ({
    title: rttMs === 0 ? 'no delay' : `${rttMs} ms round trip`,
    lines: plan.contenders
      .filter((one) => takesPart(one, scenario))
      .flatMap((contender): ChartLine[] => {
        const values = (field: 'p50Ms' | 'p99Ms'): number[] =>
          plan.lossPercents.map((lossPercent) =>
            median(samplesOf(cells, scenario, contender, rttMs, lossPercent).map((sample) => sample[field])),
          );
        const { label, color } = contender;
        return [
          { label, color, values: values('p99Ms') },
          { label, color, values: values('p50Ms'), faint: true },
        ];
      }),
  }));
  return lineCharts(
    {
      title: `Time to deliver under packet loss: ${scenario.title}`,
      note: 'p99, and dashed the median, of the records that came; 200 records of 128 B a second; lower is better',
      xLabel: 'packets lost in each direction',
      xTicks: plan.lossPercents.map((percent) => `${percent} %`),
      yLabel: 'milliseconds, one way',
    },
    panels,
  );
}

function samplesOf(
  cells: readonly LossCell[],
  scenario: NamedScenario,
  contender: Contender,
  rttMs: number,
  lossPercent: number,
): readonly LinkSample[] {
  return cells
    .filter(
      (cell) =>
        cell.scenario === scenario.name &&
        cell.contender === contender.name &&
        cell.rttMs === rttMs &&
        cell.lossPercent === lossPercent,
    )
    .map(({ sample }) => sample);
}
