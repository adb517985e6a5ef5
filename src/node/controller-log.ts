import type { ControllerObserver } from '../controller/controller.ts';
import type { PlannedUpdate } from '../controller/plan-input.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Writes into the log what this node does as controller. @param nameOf the topic of an id, where it is known */
export function controllerObserver(
  log: Pick<Logger, 'info' | 'warn'>,
  nameOf: (topicId: string) => string | undefined,
): ControllerObserver {
  const placeOf = ({ topicId, partition }: PlannedUpdate) => ({ topic: nameOf(topicId), topicId, partition });
  return {
    onElected: (term) => log.info('controller.elected', { term }),
    onLost: () => log.info('controller.lost'),
    onChanged: (update) => {
      const { leader, replicas, isr } = update.state;
      log.info('controller.changed', { ...placeOf(update), reason: update.reason, leader, replicas, isr });
    },
    onFailed: (update, error) =>
      log.warn('controller.failed', { ...(update && { ...placeOf(update), reason: update.reason }), error }),
    onRebalanced: () => log.info('controller.rebalanced'),
  };
}
