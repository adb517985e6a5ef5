import { requireTools } from '../../test-integration/support/system-tools.ts';
import type { LinkSample } from '../load/lossy-link.ts';
import { LossyLink } from '../load/lossy-link.ts';
import { LossyNetwork } from '../support/lossy-network.ts';
import { short } from '../support/statistics.ts';
import type { Contender, LossCell, LossPlan } from './loss-plan.ts';
import { takesPart } from './loss-plan.ts';
import { reportLoss } from './loss-report.ts';

/**
 * One-way latency across a link that delays packets and loses some in both directions, and a report of it in bench/results. The broker
 * and the publisher are on one side, the subscribers on the other: one lossy crossing, as a remote subscriber sees it.
 */
export async function runLoss(plan: LossPlan): Promise<{ cells: readonly LossCell[]; table: string[] }> {
  requireTools(['ip', 'nft', 'iptables', 'python3', 'nats-server', 'redis-server', 'mosquitto']);
  const cells: LossCell[] = [];
  for (const rttMs of plan.rttsMs) {
    await using network = await LossyNetwork.create({ lossPercent: 0, roundTripMs: rttMs });
    for (const lossPercent of plan.lossPercents) {
      for (let n = 0; n < plan.runs; n += 1) {
        for (const contender of plan.contenders) {
          for await (const [scenario, sample] of runContender(plan, network, contender, lossPercent)) {
            cells.push({ scenario, contender: contender.name, rttMs, lossPercent, sample });
            const { p50Ms, p99Ms, maxMs, lost } = sample;
            console.log(
              `${rttMs} ms, ${lossPercent} %, ${scenario}, ${contender.label}: ${short(p50Ms)} / ${short(p99Ms)} / ${short(maxMs)} ms, ${lost} missing`,
            );
          }
        }
      }
    }
  }
  return { cells, table: reportLoss(plan, cells) };
}

/** All scenarios of one contender on a server of its own. */
async function* runContender(
  plan: LossPlan,
  network: LossyNetwork,
  contender: Contender,
  lossPercent: number,
): AsyncGenerator<[string, LinkSample]> {
  network.setLoss(0);
  await using link = await LossyLink.start(network, contender.system, contender.options);
  for (const scenario of plan.scenarios.filter((one) => takesPart(contender, one))) {
    yield [scenario.name, await link.run(scenario, lossPercent, plan.seconds)];
  }
}
